"""A small shop to watch; nothing in the product imports it."""

"""CD webhooks: verify and parse, no storing."""

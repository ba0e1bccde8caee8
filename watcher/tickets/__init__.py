"""Ticket systems: adapters that list tickets; counting and redaction, once for all."""

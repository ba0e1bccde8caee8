"""Rollback targets."""

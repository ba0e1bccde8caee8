"""Leases in tests that make looks and calls themselves: no loop renews them, and the machine may stand still."""

from __future__ import annotations

from watcher.engine.lease import Keeper


class Patient(Keeper):
    """What it takes stays taken for the whole of a test."""

    lease_seconds = 3600.0

"""Findings -> Decision: pure policy that knows no statistics, no clock and no network."""

from __future__ import annotations

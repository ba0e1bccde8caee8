"""The configuration file: YAML -> frozen settings. Every mistake is named at once, with file, line and path."""

from __future__ import annotations

from watcher.settings.loading import load
from watcher.settings.options import HeartbeatOptions
from watcher.settings.published import json_schema
from watcher.settings.reference import markdown
from watcher.settings.types import Adapter, Server, Settings, Token

__all__ = ["Adapter", "HeartbeatOptions", "Server", "Settings", "Token", "json_schema", "load", "markdown"]

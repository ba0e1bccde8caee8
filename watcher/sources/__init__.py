"""User-behaviour metrics: adapters that turn a source into Series."""

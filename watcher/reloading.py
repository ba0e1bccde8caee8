"""A changed configuration while the daemon runs: read whole or not at all, and what running watches keep of the old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from watcher import settings as configuration
from watcher.adapters import Adapters
from watcher.errors import ConfigError, Problem, WatcherError
from watcher.model.service import Service
from watcher.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Needed:
    """Names that open watches may still ask for, by what they are names of."""

    sources: frozenset[str]
    notifiers: frozenset[str]
    services: frozenset[str]


def read(running: Settings, environ: Mapping[str, str]) -> Settings:
    """The file of `running` as it is now.

    Raises:
        ConfigError: something is wrong in it, or it changes what only a restart can change.
    """
    fresh = configuration.load(running.file, environ)
    old, new = running.server, fresh.server
    fixed = {
        "server.listen": (old.host, old.port) == (new.host, new.port),
        "store": running.store_url.get_secret_value() == fresh.store_url.get_secret_value(),
    }
    problems = tuple(
        Problem(fresh.file, 1, name, "was changed, which takes a restart (expected as it was, for a reload)")
        for name, same in fixed.items()
        if not same
    )
    if problems:
        raise ConfigError(problems)
    return fresh


def problems(error: Exception) -> list[str]:
    """What was wrong with a reload, as lines that hold no secret."""
    if isinstance(error, ConfigError):
        return [str(problem) for problem in error.problems]
    return [str(error) if isinstance(error, WatcherError) else f"unexpected {type(error).__name__}"]


def needed(policies: Iterable[Service]) -> Needed:
    """What watches with these policies may ask for."""
    found = list(policies)
    return Needed(
        sources=frozenset(signal.source for policy in found for signal in policy.signals),
        notifiers=frozenset(name for policy in found for name in policy.notify),
        services=frozenset(policy.name for policy in found),
    )


def merged(old: Adapters, new: Adapters, needed: Needed) -> Adapters:
    """The new adapters, and of those that are gone the ones that a running watch still asks for."""
    return replace(
        new,
        sources=_kept(old.sources, new.sources, needed.sources),
        rollbacks=_kept(old.rollbacks, new.rollbacks, needed.services),
        notifiers=_kept(old.notifiers, new.notifiers, needed.notifiers),
    )


def _kept(old: Mapping[str, T], new: Mapping[str, T], names: frozenset[str]) -> dict[str, T]:
    return {name: one for name, one in old.items() if name in names and name not in new} | dict(new)


def changes(old: Settings, new: Settings) -> dict[str, list[str]]:
    """Services that were added, removed and changed, with their rollback target, for the log."""
    before = {name: (service, old.rollbacks.get(name)) for name, service in old.services.items()}
    after = {name: (service, new.rollbacks.get(name)) for name, service in new.services.items()}
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
    }

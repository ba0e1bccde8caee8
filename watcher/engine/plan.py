"""What a deploy event means: which deploy it belongs to, which watches it opens, which it ends. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import chain

from watcher.model.decision import Outcome
from watcher.model.deploy import Deploy, DeployEvent, Phase
from watcher.model.order import RollbackOrder
from watcher.model.service import Service
from watcher.model.watch import Watch, WatchState

REPEAT_WINDOW = 600.0  # the same body without any id within this time is the same deploy
CLOCK_TOLERANCE = 300.0  # a sender's clock that is further ahead of ours is worth telling of
_ORDER_TOLERANCE = 30.0  # deploys that finished closer than this are in the order in which they came: clocks differ
_WILD = re.compile(r"[*?\[]").search
_ORDER = (Phase.ANNOUNCED, Phase.STARTED, Phase.FINISHED)


def short_id(prefix: str, *parts: str) -> str:
    """An id that the same parts always give: `d-3f2a9c0b7d1e5a46`."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{prefix}-{digest}"


def identify(hook: str, event: DeployEvent, delivery_id: str | None, body: bytes, received_at: float) -> str:
    """What makes two messages one deploy: the sender's deploy id, else the delivery id, else service, environment,
    version and time, else (no time given) the body.
    """
    if event.identity is not None:
        return f"{hook}|id|{event.identity}"
    if delivery_id is not None:
        return f"{hook}|delivery|{delivery_id}"
    if event.at != received_at:
        service = event.attributes.get("service", "")
        return f"{hook}|time|{service}|{event.environment}|{event.version}|{event.at:.3f}"
    return f"{hook}|body|{hashlib.sha256(body).hexdigest()}|{received_at:.3f}"


def delivery_key(hook: str, delivery_id: str | None, body: bytes) -> str:
    """Under which a delivery is remembered for its repeats."""
    if delivery_id is not None:
        return f"{hook}|delivery|{delivery_id}"
    return f"{hook}|body|{hashlib.sha256(body).hexdigest()}"


class Matcher:
    """Finds the services that a deploy is of; in a fleet most are found by a plain name, without asking the others."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = tuple(services)
        self.names = sorted(service.name for service in self._services)
        plain = [[item for item in service.match.items() if not _WILD(item[1])] for service in self._services]
        common = Counter(item for items in plain for item in items)
        self._named: dict[tuple[str, str], list[int]] = {}
        self._others: list[int] = []
        for number, items in enumerate(plain):
            rarest = min(items, key=common.__getitem__, default=None)
            (self._others if rarest is None else self._named.setdefault(rarest, [])).append(number)

    def matching(self, attributes: Mapping[str, str]) -> tuple[Service, ...]:
        """Those whose every `match` pattern fits the event's attribute of that name, in their own order."""
        possible = chain(self._others, *(self._named.get(item, ()) for item in attributes.items()))
        found = (self._services[number] for number in sorted(possible))
        return tuple(service for service in found if _matches(service, attributes))


def _matches(service: Service, attributes: Mapping[str, str]) -> bool:
    return all(name in attributes and _fits(attributes[name], pattern) for name, pattern in service.match.items())


def _fits(value: str, pattern: str) -> bool:
    return value == pattern or fnmatchcase(value, pattern)


def ahead(event: DeployEvent, received_at: float) -> float:
    """Seconds by which the sender's clock is ahead of ours at least: what we are told of has happened."""
    told = [moment for moment in (event.started_at, event.finished_at) if moment is not None]
    return max(0.0, max(told, default=event.at) - received_at)


def _by_our_clock(event: DeployEvent, received_at: float) -> DeployEvent:
    """The event with all its times moved back so far that none is still to come."""
    off = ahead(event, received_at)
    if not off:
        return event
    return replace(
        event,
        at=event.at - off,
        started_at=None if event.started_at is None else event.started_at - off,
        finished_at=None if event.finished_at is None else event.finished_at - off,
    )


def came_late(watch: Watch, other: Watch) -> bool:
    """Whether `watch`, which is to be opened now, is of a deploy older than that of `other`, which is open."""
    # No deploy finished after we were told that it had.
    return min(other.finished_at, other.created_at) > watch.finished_at + _ORDER_TOLERANCE


def merge(known: Deploy | None, event: DeployEvent, *, identity: str, hook: str, received_at: float) -> Deploy:
    """The deploy after this event; events may come late or out of order, or tell of a time that is still to come."""
    event = _by_our_clock(event, received_at)
    if known is None:
        return Deploy(
            id=short_id("d", identity),
            identity=identity,
            hook=hook,
            phase=event.phase,
            environment=event.environment,
            version=event.version,
            received_at=received_at,
            started_at=_started(event),
            finished_at=event.finished_at,
            previous_version=event.previous_version,
            attributes=dict(event.attributes),
            links=dict(event.links),
            rollback_id=event.rollback_id,
        )
    finished_at = known.finished_at if known.finished_at is not None else event.finished_at
    return replace(
        known,
        phase=_later(known.phase, event.phase),
        started_at=_merged_start(known, event),
        finished_at=finished_at,
        previous_version=known.previous_version or event.previous_version,
        attributes={**known.attributes, **event.attributes},
        links={**known.links, **event.links},
        rollback_id=known.rollback_id or event.rollback_id,
    )


def _started(event: DeployEvent) -> float:
    if event.started_at is not None:
        return event.started_at
    return event.finished_at if event.finished_at is not None else event.at


def _merged_start(known: Deploy, event: DeployEvent) -> float:
    if event.started_at is None:
        return known.started_at
    if known.phase is Phase.ANNOUNCED:  # until now only the announcement's time stood in
        return event.started_at
    return min(known.started_at, event.started_at)


def _later(known: Phase, new: Phase) -> Phase:
    if known in (Phase.FINISHED, Phase.FAILED):
        return known if new is not Phase.FINISHED else new
    return new if new is Phase.FAILED or _ORDER.index(new) >= _ORDER.index(known) else known


def new_watch(deploy: Deploy, service: Service, now: float) -> Watch:
    """The watch that a finished deploy opens over a service."""
    if deploy.finished_at is None:
        raise ValueError(f"deploy {deploy.id} has not finished")
    return Watch(
        id=short_id("w", deploy.id, service.name, deploy.environment),
        deploy_id=deploy.id,
        service=service.name,
        environment=deploy.environment,
        version=deploy.version,
        previous_version=deploy.previous_version,
        policy=service,
        state=WatchState.SCHEDULED,
        started_at=deploy.started_at,
        finished_at=deploy.finished_at,
        until=deploy.finished_at + service.window,
        ticket_until=deploy.finished_at + max(service.ticket_window, service.window),
        created_at=now,
        next_look_at=deploy.finished_at + service.step,
    )


def is_receipt(deploy: Deploy, order: RollbackOrder) -> bool:
    """Whether this deploy is what our rollback asked for: it carries the rollback's id, or it is the target version
    on the same environment.
    """
    if deploy.rollback_id is not None:
        return deploy.rollback_id == order.rollback_id
    return deploy.environment == order.environment and deploy.version == order.target_version


def supersede(watch: Watch, deploy: Deploy, now: float) -> Watch:
    """The watch, ended because a newer deploy took its place."""
    return replace(
        watch,
        state=WatchState.SUPERSEDED,
        superseded_by=deploy.id,
        ended_at=now,
        next_look_at=None,
    )


def target_version(watch: Watch, history: Sequence[Watch], regressed: AbstractSet[str] = frozenset()) -> str | None:
    """The explicit version to go back to: the one the pipeline named, else the newest that was judged and did not
    regress; never one that regressed, never the bad one itself. None if there is none.

    Args:
        watch: of the bad version.
        history: newest watches of the service and environment.
        regressed: every version that was ever judged regressed there, also those that `history` no longer reaches.
    """
    named = candidates(watch, history, regressed)
    if watch.previous_version and watch.previous_version not in _bad(watch, history, regressed):
        return watch.previous_version
    return named[0] if named else None


def no_target(watch: Watch, history: Sequence[Watch], regressed: AbstractSet[str] = frozenset()) -> str:
    """Why there is no version to go back to, as a sentence; what was named is named."""
    none = "no other version is known that was judged and did not regress"
    if not watch.previous_version:
        return f"The pipeline named no previous version, and {none}."
    if watch.previous_version == watch.version:
        return f"The pipeline named {watch.version} itself as the previous version, and {none}."
    if watch.previous_version in _bad(watch, history, regressed):
        return f"The previous version, {watch.previous_version}, was itself judged regressed, and {none}."
    raise ValueError(f"{watch.previous_version} can be gone back to")


def candidates(watch: Watch, history: Sequence[Watch], regressed: AbstractSet[str] = frozenset()) -> tuple[str, ...]:
    """Versions that were judged not regressed before this deploy, newest first."""
    bad = _bad(watch, history, regressed)
    judged = [
        past.version
        for past in sorted(history, key=lambda past: past.finished_at, reverse=True)
        if past.outcome is not None and past.finished_at < watch.finished_at and past.version not in bad
    ]
    return tuple(dict.fromkeys(judged))


def _bad(watch: Watch, history: Sequence[Watch], regressed: AbstractSet[str]) -> AbstractSet[str]:
    """Versions that are never gone back to."""
    return regressed | {watch.version} | {past.version for past in history if past.outcome is Outcome.REGRESSED}

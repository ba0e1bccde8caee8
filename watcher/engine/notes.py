"""What people are told, as data. Pure."""

from __future__ import annotations

from watcher.engine.plan import short_id
from watcher.model.order import Note, Severity, Topic
from watcher.model.service import Service
from watcher.model.watch import Watch
from watcher.store.orders import NoteState, Order

_LOUDNESS = {
    Topic.REGRESSED: Severity.CRITICAL,
    Topic.HEALTHY: Severity.INFO,
    Topic.INCONCLUSIVE: Severity.WARNING,
    Topic.APPROVAL_WANTED: Severity.CRITICAL,
    Topic.APPROVAL_EXPIRED: Severity.CRITICAL,
    Topic.APPROVAL_REFUSED: Severity.WARNING,
    Topic.ROLLBACK_ACCEPTED: Severity.WARNING,
    Topic.ROLLBACK_FAILED: Severity.CRITICAL,
    Topic.ROLLBACK_UNKNOWN: Severity.CRITICAL,
    Topic.NO_ROLLBACK_TARGET: Severity.CRITICAL,
    Topic.RECOVERED: Severity.WARNING,
    Topic.NOT_RECOVERED: Severity.CRITICAL,
    Topic.SUPERSEDED: Severity.WARNING,
    Topic.BLIND: Severity.WARNING,
}
_TITLES = {
    Topic.REGRESSED: "{service} {version} made things worse",
    Topic.HEALTHY: "{service} {version} is healthy",
    Topic.INCONCLUSIVE: "{service} {version}: cannot tell",
    Topic.APPROVAL_WANTED: "{service} {version} made things worse: roll back?",
    Topic.APPROVAL_EXPIRED: "{service} {version}: nobody approved the rollback in time",
    Topic.APPROVAL_REFUSED: "{service} {version}: the rollback was refused",
    Topic.ROLLBACK_ACCEPTED: "{service} {version} is being rolled back",
    Topic.ROLLBACK_FAILED: "{service} {version}: THE ROLLBACK FAILED",
    Topic.ROLLBACK_UNKNOWN: "{service} {version}: the rollback may or may not have happened",
    Topic.NO_ROLLBACK_TARGET: "{service} {version}: no version to go back to is known",
    Topic.RECOVERED: "{service} has recovered after the rollback of {version}",
    Topic.NOT_RECOVERED: "{service} HAS NOT RECOVERED after the rollback of {version}",
    Topic.SUPERSEDED: "{service} {version}: a newer deploy took its place",
    Topic.BLIND: "{service} {version} cannot be watched",
}
# Topics after which the alert of a watch is over.
_RESOLVING = frozenset({Topic.RECOVERED, Topic.SUPERSEDED, Topic.APPROVAL_REFUSED})


def note(watch: Watch, topic: Topic, sentence: str, at: float, base_url: str) -> Note:
    """One message about a watch."""
    return Note(
        id=short_id("n", watch.id, topic.value, f"{at:.3f}"),
        alert=watch.id,
        topic=topic,
        severity=_LOUDNESS[topic],
        title=_TITLES[topic].format(service=watch.service, version=watch.version),
        sentence=sentence,
        service=watch.service,
        environment=watch.environment,
        version=watch.version,
        url=watch_url(base_url, watch.id),
        at=at,
        resolved=topic in _RESOLVING,
    )


def deliver(message: Note, policy: Service, now: float) -> tuple[Order, ...]:
    """One order for each notifier that the service tells."""
    return tuple(
        Order(
            id=short_id("o", message.id, name),
            watch_id=message.alert,
            target=name,
            payload=message,
            state=NoteState.PENDING,
            created_at=now,
            updated_at=now,
            next_at=now,
        )
        for name in policy.notify
    )


def watch_url(base_url: str, watch_id: str) -> str:
    return f"{base_url.rstrip('/')}/watches/{watch_id}"

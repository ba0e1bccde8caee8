"""The lines of the page's list: watches, and the deploys that nobody watches."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from watcher.model.deploy import Deploy, Phase
from watcher.model.watch import Watch
from watcher.store import deploys, watches
from watcher.store.database import Tx
from watcher.web import views, words
from watcher.web.paging import page_of, until_next_moment
from watcher.web.words import Badge, Line


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list: a watch, or a deploy without one."""

    id: str
    at: float
    badge: Badge
    services: str
    environment: str
    version: str
    sentence: str
    href: str | None = None
    rollback: Line | None = None


_PHASES = MappingProxyType(
    {
        Phase.ANNOUNCED: Badge("Announced", "busy", "◔"),
        Phase.STARTED: Badge("Deploying", "busy", "◔"),
        Phase.FAILED: Badge("Deploy failed", "off", "\N{EN DASH}"),
    }
)
_UNWATCHED = Badge("Not watched", "off", "\N{EN DASH}")
_RECEIPT = Badge("Our rollback", "off", "↩")


def listing(tx: Tx, *, limit: int, service: str | None, before: float | None) -> tuple[Sequence[Row], float | None]:
    """Watches and unwatched deploys together, newest first, and `before` of the next page."""
    watched, older_watched = page_of(
        partial(watches.listing, tx, service=service), limit, before, lambda watch: watch.created_at
    )
    told, older_told = page_of(partial(deploys.recent, tx), limit, before, lambda deploy: deploy.received_at)
    known = watches.ids_by_deploy(tx, [deploy.id for deploy in told])
    found = [(watch.created_at, watch_row(watch)) for watch in watched]
    found += [
        (deploy.received_at, deploy_row(deploy))
        for deploy in told
        if deploy.id not in known and (service is None or service in deploy.services)
    ]
    found.sort(key=lambda pair: -pair[0])
    size = until_next_moment([at for at, _ in found], limit)
    shown = [row for _, row in found[:size]]
    if len(found) > size or older_watched is not None or (older_told is not None and service is None):
        return shown, found[size - 1][0] if shown else older_told
    return shown, None


def waiting(tx: Tx, services: Container[str]) -> Sequence[Row]:
    """Every watch of `services` whose rollback waits for a person, however old."""
    found = [watch_row(watch) for watch in watches.with_rollback(tx) if watch.service in services]
    return [row for row in found if row.rollback is not None and row.rollback.waits]


def watch_row(watch: Watch) -> Row:
    view = views.watch_view(watch, "").model_dump(mode="json")
    return Row(
        id=watch.id,
        at=watch.finished_at,
        badge=words.badge(view["gate"]),
        services=watch.service,
        environment=watch.environment,
        version=watch.version,
        sentence=words.sentence(view),
        href=f"/watches/{watch.id}",
        rollback=words.rollback(view),
    )


def deploy_row(deploy: Deploy) -> Row:
    """For a deploy without a watch."""
    attributes = deploy.attributes
    return Row(
        id=deploy.id,
        at=deploy.received_at,
        badge=_deploy_badge(deploy),
        services=", ".join(deploy.services) or attributes.get("service") or attributes.get("repository", ""),
        environment=deploy.environment,
        version=deploy.version,
        sentence=_deploy_sentence(deploy),
    )


def _deploy_badge(deploy: Deploy) -> Badge:
    if deploy.phase in _PHASES:
        return _PHASES[deploy.phase]
    return _RECEIPT if deploy.services else _UNWATCHED


def _deploy_sentence(deploy: Deploy) -> str:
    if not deploy.services:
        return "No configured service matches this deploy, so nothing watches it."
    if deploy.phase is Phase.FAILED:
        return "The pipeline says that this deploy failed; there is nothing to watch."
    if deploy.phase is Phase.FINISHED:
        return "The version to which we rolled back; the watch of the bad deploy follows the recovery."
    return "The watch begins when the deploy has finished."

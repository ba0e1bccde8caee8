"""The page for people: the list of deploys, one watch, and the decisions that a person takes there. It is rendered
here, whole, and works without the script; the script only keeps it fresh and draws the charts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from watcher.errors import ConflictError, MalformedError, NotFoundError, UnauthenticatedError
from watcher.kit.outside import is_storable
from watcher.model.watch import Watch
from watcher.store import rehearsals
from watcher.verdict.explain import TITLES
from watcher.web import auth, cookies, decide, drills, rows, views, words
from watcher.web.api import Before, meant
from watcher.web.auth import APPROVE, Approver, Principal, Reader
from watcher.web.context import Context, Web
from watcher.web.live import Live
from watcher.web.rendering import STATIC, render

_ROWS = 50
_STREAM_SECONDS = 3600.0  # then the browser comes again, and must still be allowed to
_BEAT = 15  # silent polls between two comments that keep the connection open
_MOST_LISTENERS = 200
_LONGEST_REASON = 400
_MOST_FIELDS = 10

router = APIRouter(include_in_schema=False)


@router.get("/favicon.ico")
def icon() -> FileResponse:
    """Browsers ask here wherever no page names the icon, as on the JSON answers."""
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")


@router.get("/")
def index(
    request: Request,
    web: Context,
    who: Reader,
    service: Annotated[str, Query()] = "",
    before: Before = None,
) -> Response:
    with web.database.read() as tx:
        found, older = rows.listing(tx, limit=_ROWS, service=service or None, before=before)
        waiting = rows.waiting(tx, web.services)
    return render(
        request,
        "index.html",
        rows=found,
        older=older,
        service=service,
        before=before,
        waiting=waiting,
        services=sorted(web.services),
        who=who,
        first=_first_step(web),
    )


def _first_step(web: Web) -> dict[str, Any]:
    """What a newcomer should do: the addresses and an example that fits the configuration."""
    service = next(iter(web.services.values()), None)
    environment = service.match.get("environment", "production") if service else "production"
    return {
        "url": web.external_url.rstrip("/"),
        "generic": next((name for name, hook in web.hooks.items() if not getattr(hook, "vendor", True)), None),
        "vendors": [name for name, hook in web.hooks.items() if getattr(hook, "vendor", True)],
        "service": service.match.get("service", service.name) if service else None,
        "environment": environment if environment.isalnum() else "production",
    }


@router.get("/services/{name}")
def service_page(name: str, request: Request, web: Context, who: Reader) -> Response:
    """What the service's rehearsal and its drills have shown."""
    if name not in web.services:
        raise NotFoundError(f"there is no service {name}")
    with web.database.read() as tx:
        made, drilled = rehearsals.latest(tx, name), drills.shown(tx, name)
    shown = drilled if web.services[name].rollback is not None else None
    return render(request, "service.html", service=name, made=made, drills=shown, words=words, who=who)


@router.get("/watches/{watch_id}")
def watch_page(watch_id: str, request: Request, web: Context, who: Reader) -> Response:
    return _watch_page(request, web, who, watch_id)


def _watch_page(
    request: Request, web: Web, who: Principal, watch_id: str, status: int = 200, problem: str = ""
) -> Response:
    with web.database.read() as tx:
        watch = meant(tx, watch_id)
        detail = views.watch_detail(tx, watch, web.external_url).model_dump(mode="json")
    return render(
        request,
        "watch.html",
        status,
        watch=detail,
        sentence=words.sentence(detail),
        reason=TITLES[watch.reason],
        badge=words.badge(detail["gate"]),
        rollback=words.rollback(detail),
        signals=sorted(detail["signals"], key=words.signal_rank),
        samples=_samples(web, watch),
        words=words,
        who=who,
        may_decide=APPROVE in who.scopes,
        problem=problem,
    )


def _samples(web: Web, watch: Watch) -> dict[str, Any]:
    return {signal.name: web.samples(watch.id, signal.name) for signal in watch.policy.signals if signal.is_tickets}


@router.post("/watches/{watch_id}/{action}")
async def act(watch_id: str, action: str, request: Request, web: Context, who: Approver) -> Response:
    """The forms of the watch's page."""
    if action not in ("approve", "refuse", "stop"):
        raise HTTPException(404)
    form = await _form(request)
    if not who.bearer:
        cookies.check_form(request, form.get("form", ""))
    reason = form.get("reason", "").strip()
    return await run_in_threadpool(_act, request, web, who, watch_id, action, reason)


def _act(request: Request, web: Web, who: Principal, watch_id: str, action: str, reason: str) -> Response:
    with web.database.read() as tx:
        found = meant(tx, watch_id)
    if not 0 < len(reason) <= _LONGEST_REASON or not is_storable(reason):
        return _watch_page(
            request, web, who, watch_id, 400, f"Please give a reason of at most {_LONGEST_REASON} plain characters."
        )
    try:
        if action == "stop":
            decide.stop(web.database, found.id, by=who.name, reason=reason, now=web.now())
        else:
            decide.decide(
                web.database, found.id, approve=action == "approve", by=who.name, reason=reason, now=web.now()
            )
    except ConflictError as error:
        return _watch_page(request, web, who, watch_id, 409, f"That was not done: {error}.")
    return RedirectResponse(f"/watches/{found.id}", 303)


@router.post("/sign-in")
async def begin_session(request: Request, web: Context) -> Response:
    """Exchanges a token for a session cookie."""
    auth.check_origin(request, must=False)
    form = await _form(request)
    cookies.check_form(request, form.get("form", ""))
    target = _local(form.get("next", "/"))
    try:
        session = auth.sign_in(request, web, form.get("token", ""))
    except UnauthenticatedError:
        return render(request, "sign_in.html", 401, title="Sign in", error="That is none of our tokens.", target=target)
    answer = RedirectResponse(target, 303)
    cookies.put(request, answer, cookies.SESSION, session, auth.SESSION_SECONDS)
    return answer


@router.post("/sign-out")
async def end_session(request: Request, web: Context) -> Response:
    """Ends the session for good, wherever its cookie has been copied to."""
    auth.check_origin(request, must=False)
    cookies.check_form(request, (await _form(request)).get("form", ""))
    await run_in_threadpool(auth.end_session, web, cookies.read(request, cookies.SESSION))
    answer = RedirectResponse("/", 303)
    cookies.drop(request, answer, cookies.SESSION)
    return answer


async def _form(request: Request) -> dict[str, str]:
    text = (await request.body()).decode("utf-8", "replace")
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=_MOST_FIELDS).items()}
    except ValueError:
        raise MalformedError("", f"a form of at most {_MOST_FIELDS} fields") from None


def _local(target: str) -> str:
    """A path of ours: never another site."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain else "/"


@router.get("/events")
async def events(request: Request, _web: Context, _who: Reader, watch: str = "") -> Response:
    """Server-sent events: `changed` whenever the watch, or the list, looks different."""
    live: Live = request.app.state.live
    if live.listeners >= _MOST_LISTENERS:
        raise HTTPException(503, "too many listeners; poll instead")
    return StreamingResponse(_stream(live, watch), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _stream(live: Live, watch_id: str) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    silent = 0
    async for revision in live.changes(watch_id, _STREAM_SECONDS):
        silent = 0 if revision else silent + 1
        if revision:
            yield f"event: changed\ndata: {revision}\n\n"
        elif silent % _BEAT == 0:
            yield ": beat\n\n"

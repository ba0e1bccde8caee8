"""The application, and uvicorn in a thread around it."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
from threading import Event, Thread

import uvicorn
from fastapi import Depends, FastAPI, Request
from starlette.staticfiles import StaticFiles

from watcher import __version__
from watcher.errors import MalformedError, WatcherError
from watcher.kit import clock
from watcher.kit.outside import is_storable
from watcher.web import answers, api, drills, hooks, page, probes
from watcher.web.batches import Batches
from watcher.web.connections import PatientProtocol
from watcher.web.context import Token, Web
from watcher.web.crowd import MOST_CONNECTIONS, Crowd
from watcher.web.limits import Limiter
from watcher.web.live import Live
from watcher.web.middleware import Guard
from watcher.web.rendering import STATIC
from watcher.web.schemas import STORABLE

__all__ = ["Server", "Token", "Web", "create_app"]

_START_SECONDS = 10.0
_BACKLOG = 256  # also how many are let in before any of them is heard
_FILES = 4096  # that we like to have open at once; many systems begin with 1024


def create_app(web: Web) -> FastAPI:
    """The application; its OpenAPI document is at `/openapi.json` (no docs page: that would load from elsewhere)."""
    app = FastAPI(
        title="deploy-watch",
        version=__version__,
        description="Tell of deploys, ask how they did, decide about rollbacks. Times are unix seconds.",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_checked_address)],
    )
    app.state.web = web
    app.state.live = Live(web.database)
    app.state.batches = Batches(web.database)
    app.state.limiter = Limiter(web.rates)
    answers.install(app)
    for room in (probes, hooks, api, drills, page):
        app.include_router(room.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


async def _checked_address(request: Request) -> None:
    """No id and no name has a control character, and PostgreSQL takes no NUL even to look for it.

    Raises:
        MalformedError: naming the parameter.
    """
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        if not is_storable(f"{name}{value}"):
            raise MalformedError(ascii(name)[1:-1][:64], STORABLE)


class Server:
    """Serves an application from a thread of its own."""

    def __init__(self) -> None:
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None
        self._live: Live | None = None
        self._app: FastAPI | None = None
        self.port = 0

    def start(self, app: FastAPI, host: str, port: int) -> None:
        """Binds, then serves; port 0 takes a free one, which `port` then names.

        Raises:
            WatcherError: the address cannot be listened on.
        """
        listener = _bind(host, port)
        self.port = listener.getsockname()[1]
        self._live = app.state.live
        self._app = app
        # It warns of every request that is none, and of every one too many: a stranger must not fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        crowd: Crowd[PatientProtocol] = Crowd(_room())
        config = uvicorn.Config(
            Guard(hooks.Shortcut(app), app.state, busy=lambda: crowd.busy),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            http=PatientProtocol.sharing(crowd),
            backlog=_BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._run, args=(self._server, listener), name="web", daemon=True)
        self._thread.start()
        deadline = clock.monotonic() + _START_SECONDS
        while not self._server.started and self._thread.is_alive() and clock.monotonic() < deadline:
            clock.wait(Event(), 0.01)
        if not self._server.started:
            raise WatcherError(f"the web server did not start on {host}:{port}")

    def use(self, web: Web) -> None:
        """From the next request on with another context."""
        if self._app is None:
            raise RuntimeError("not started")
        self._app.state.web = web

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout: float = 5.0) -> None:
        """Takes no new requests, finishes those in flight within `timeout` seconds, then drops the rest."""
        if self._server is None or self._thread is None or self._live is None:
            return
        self._live.stopping.set()  # whoever listens for changes is let go
        self._server.config.timeout_graceful_shutdown = max(int(timeout) - 1, 1)
        self._server.should_exit = True
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(1.0)

    @staticmethod
    def _run(server: uvicorn.Server, listener: socket.socket) -> None:
        with listener:
            server.run(sockets=[listener])


def _room() -> int:
    """How many connections there may be: half of the files that may be open at most, the store and the sources need
    theirs.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if now == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, now // 2)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        # The system's own words, without the address that Python adds; a resolver's errors have negative numbers.
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or "not a host name"
        raise WatcherError(f"cannot listen on {host}:{port}: {reason.lower()}") from None

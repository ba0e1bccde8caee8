"""The server itself: it says why it cannot start, stops in time, and guards every answer alike."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest
from support.seeded_store import Seeded
from support.web_server import Running, serving_seeded, web_of

from watcher.errors import WatcherError
from watcher.store import watches
from watcher.web.limits import Rates
from watcher.web.rendering import STATIC
from watcher.web.server import Server, create_app


def test_a_port_in_use_is_one_clear_line(seeded: Seeded) -> None:
    app = create_app(web_of(seeded.database, lambda: seeded.now))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WatcherError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: address already in use$"):
            Server().start(app, "127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "256.1.1.1", "x" * 70])
def test_a_host_that_is_none_is_one_clear_line(seeded: Seeded, host: str) -> None:
    app = create_app(web_of(seeded.database, lambda: seeded.now))
    with pytest.raises(WatcherError, match=rf"^cannot listen on {host}:0: "):
        Server().start(app, host, 0)


def test_it_can_listen_on_ipv6(seeded: Seeded) -> None:
    server = Server()
    try:
        server.start(create_app(web_of(seeded.database, lambda: seeded.now)), "::1", 0)
    except WatcherError:
        pytest.skip("this machine has no IPv6")
    with socket.create_connection(("::1", server.port), timeout=60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    server.stop()
    assert not server.alive


def test_it_stops_in_time_although_some_still_listen(seeded: Seeded) -> None:
    with serving_seeded(seeded) as running:
        ended: list[str] = []

        def listen(path: str) -> None:
            with contextlib.suppress(OSError, HTTPException):
                running.get(path)
            ended.append(path)

        paths = ["/events", f"/events?watch={seeded.watching.id}", f"/api/v1/watches/{seeded.watching.id}?wait=60"]
        threads = [threading.Thread(target=listen, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert not ended
        began = time.monotonic()
        running.server.stop(60.0)
        assert time.monotonic() - began < 40
        assert not running.server.alive
        for thread in threads:
            thread.join(60)
        assert sorted(ended) == sorted(paths)


def test_stopping_what_never_started_and_stopping_twice(seeded: Seeded) -> None:
    Server().stop()
    with serving_seeded(seeded) as running:
        running.server.stop()
        running.server.stop()
        assert not running.server.alive


@pytest.mark.parametrize("path", ["/", "/watches/w-0043", "/api/v1/watches", "/nope", "/static/page.css", "/healthz"])
def test_every_answer_is_guarded(shown: Running, path: str) -> None:
    headers = shown.get(path, headers={"accept": "text/html"}).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "server" not in headers


def test_requests_are_observed_by_route_never_by_path(daemon: Running) -> None:
    daemon.get("/watches/w-0043")
    daemon.get("/some/where")
    daemon.ask("PROPFIND", "/healthz")
    assert daemon.saw("/watches/{watch_id}", "GET", 200)
    assert daemon.saw("unmatched", "GET", 404)
    assert daemon.saw("/healthz", "OTHER", 405)


def test_events_tell_of_changes_and_of_nothing_else(seeded: Seeded) -> None:
    with (
        serving_seeded(seeded) as running,
        socket.create_connection(("127.0.0.1", running.server.port), timeout=60) as connection,
    ):
        connection.sendall(b"GET /events?watch=w-0044 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(2.5)
        first = connection.recv(65536).decode()
        assert "content-type: text/event-stream" in first
        assert first.count("event: changed") == 1
        with seeded.database.write() as tx:
            watches.log(tx, "w-0044", seeded.now, "note", "something happened")
        assert "event: changed" in connection.recv(65536).decode()


def test_the_vendored_library_is_what_was_published() -> None:
    folder = STATIC / "vendor" / "uplot"
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("uPlot*")}
    assert digests == {
        "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    }
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert "1.6.32" in (folder / "README.md").read_text()


def test_our_own_files_load_nothing_from_elsewhere() -> None:
    own = [*STATIC.glob("*.js"), *STATIC.glob("*.css"), *(STATIC.parent / "templates").glob("*.html")]
    assert len(own) > 8
    for file in own:
        assert not _foreign(file), file


def _foreign(file: Path) -> list[str]:
    return re.findall(r"(?:src|href|url\(|import|fetch\()[\s=\"'(]*(?:https?:)?//[^\s\"')]+", file.read_text())


def test_behind_https_browsers_are_told_to_stay_there(seeded: Seeded) -> None:
    with serving_seeded(seeded, external_url="https://watcher.example") as running:
        assert running.get("/healthz").headers["strict-transport-security"] == "max-age=31536000"
    with serving_seeded(seeded) as running:
        assert "strict-transport-security" not in running.get("/healthz").headers


def test_a_target_that_is_no_path_is_not_found_even_when_it_is_one_too_many(seeded: Seeded) -> None:
    with serving_seeded(seeded, rates=Rates(requests=1)) as running:
        assert [running.ask("OPTIONS", "*").status for _ in range(2)] == [404, 429]

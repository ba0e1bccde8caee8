"""`watcher drill` against the true daemon and a real receiver, as a team would run it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.daemon import Daemon
from support.fault_server import Answer, FaultServer, Request

CONFIG = """
server: {listen: "${LISTEN}"}
store: {path: "${STORE}"}
sources:
  shop: {kind: openmetrics, url: "RECEIVER/metrics"}
services:
  checkout:
    signals: &signals
      orders: {source: shop, kind: count, harm: down, counter: orders_total}
    rollback: {kind: webhook, url: "RECEIVER/rollback", secret: a secret that nobody may see}
  search:
    signals: *signals
    rollback: {kind: command, argv: [echo, "would go back to {target_version}, dry run {dry_run}"]}
"""


@pytest.mark.parametrize("trouble", [False, True])
def test_a_drill_prints_its_steps(tmp_path: Path, trouble: bool) -> None:
    failures = iter([Answer(503), Answer(403)])

    def answer(request: Request) -> Answer:
        if request.path != "/rollback":
            return Answer(200, body=b"orders_total 1\n")
        return next(failures) if trouble else Answer.of({"id": "run-17"}, 202)

    with FaultServer() as receiver, Daemon(tmp_path, CONFIG.replace("RECEIVER", receiver.url)) as daemon:
        receiver.answer = answer
        unknown = daemon.command("drill", "checkout")
        assert unknown.returncode == 5
        assert "give environment, bad_version, target_version" in unknown.stderr
        named = ("--environment", "production", "--bad-version", "v2", "--target-version", "v1")
        ran = daemon.command("drill", "checkout", *named)
        lines = ran.stdout.splitlines()
        assert lines[0].startswith("stored    drill-")
        assert lines[0].endswith(": v2 -> v1 in production, dry run")
        host = receiver.url.removeprefix("http://").split(":")[0]
        expected = (
            [
                "sent      attempt 1",
                f"failed    {host}: answered 503; tried again",
                "sent      attempt 2",
                f"failed    {host}: answered 403",
                "The rollback target of checkout did NOT take the order: a rollback would fail in the same way.",
            ]
            if trouble
            else [
                "sent      attempt 1",
                "accepted  answered 202 (run-17)",
                "The rollback target of checkout took the dry-run order. Nothing was rolled back.",
            ]
        )
        assert (ran.returncode, lines[1:]) == (5 if trouble else 0, expected)
        assert all(request.json()["dry_run"] for request in receiver.requests if request.path == "/rollback")
        if not trouble:
            ran = daemon.command("drill", "search", *named)
            assert (ran.returncode, ran.stdout.splitlines()[2]) == (0, "accepted  would go back to v1, dry run 1")
            assert daemon.command("drill", "wiki").stderr == "watcher: there is no service wiki\n"
        assert "a secret that nobody may see" not in daemon.log.read_text() + ran.stdout + ran.stderr

"""`watcher drill` against the true daemon and a real receiver, as a team would run it."""

from __future__ import annotations

from pathlib import Path

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
NAMED = ("--environment", "production", "--bad-version", "v2", "--target-version", "v1")


def test_a_drill_prints_its_steps(tmp_path: Path) -> None:
    answers = iter([Answer.of({"id": "run-17"}, 202), Answer(503), Answer(403, delay=1.0)])

    def answer(request: Request) -> Answer:
        return next(answers) if request.path == "/rollback" else Answer(200, body=b"orders_total 1\n")

    with FaultServer() as receiver, Daemon(tmp_path, CONFIG.replace("RECEIVER", receiver.url)) as daemon:
        receiver.answer = answer
        unknown = daemon.command("drill", "checkout")
        assert unknown.returncode == 5
        assert "give environment, bad_version, target_version" in unknown.stderr

        took = daemon.command("drill", "checkout", *NAMED)
        first, *lines = took.stdout.splitlines()
        assert first.startswith("stored    drill-")
        assert first.endswith(": v2 -> v1 in production, dry run")
        assert (took.returncode, lines) == (
            0,
            [
                "sent      attempt 1",
                "accepted  answered 202 (run-17)",
                "The rollback target of checkout took the dry-run order. Nothing was rolled back.",
            ],
        )
        refused = daemon.command("drill", "checkout", *NAMED)
        assert (refused.returncode, refused.stdout.splitlines()[1:]) == (
            5,
            [
                "sent      attempt 1",
                "failed    127.0.0.1: answered 503; tried again",
                "sent      attempt 2",
                "failed    127.0.0.1: answered 403",
                "The rollback target of checkout did NOT take the order: a rollback would fail in the same way.",
            ],
        )
        ran = daemon.command("drill", "search", *NAMED)
        assert (ran.returncode, ran.stdout.splitlines()[2]) == (0, "accepted  would go back to v1, dry run 1")
        orders = [request.json() for request in receiver.requests if request.path == "/rollback"]
        assert [order["dry_run"] for order in orders] == [True] * 3
        shown = daemon.log.read_text() + took.stdout + refused.stdout + refused.stderr
        assert "a secret that nobody may see" not in shown

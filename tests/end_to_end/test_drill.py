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
    rollback: {kind: webhook, url: "RECEIVER/rollback", secret: a secret that nobody may see, heeds_dry_run: true}
  careless:
    signals: *signals
    rollback: {kind: webhook, url: "RECEIVER/rollback"}
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
                "unknown   127.0.0.1: answered 403; an earlier attempt may have been carried out",
                "The rollback target of checkout may or may not have got the order: a rollback would call a person.",
            ],
        )
        held = daemon.command("drill", "careless", *NAMED)
        assert (held.returncode, held.stdout.splitlines()[2]) == (
            5,
            "failed    not sent: nothing says that the receiver heeds dry_run (expected heeds_dry_run: true)",
        )
        ran = daemon.command("drill", "search", *NAMED)
        assert (ran.returncode, ran.stdout.splitlines()[2]) == (0, "accepted  would go back to v1, dry run 1")
        orders = [request.json() for request in receiver.requests if request.path == "/rollback"]
        assert [order["dry_run"] for order in orders] == [True] * 3
        shown = daemon.log.read_text() + took.stdout + refused.stdout + refused.stderr
        assert "a secret that nobody may see" not in shown


SLOW = """
  slow-{}:
    signals: *signals
    rollback: {{kind: command, argv: [sh, -c, "sleep 60", "{{dry_run}}"]}}
"""


def test_targets_that_take_their_time_delay_no_other(tmp_path: Path) -> None:
    named = dict(zip(("environment", "bad_version", "target_version"), NAMED[1::2], strict=True))
    with FaultServer() as receiver:
        receiver.answer = lambda _request: Answer(202)
        slow = "".join(SLOW.format(number) for number in range(4))
        with Daemon(tmp_path, CONFIG.replace("RECEIVER", receiver.url) + slow) as daemon:

            def state(drill: str) -> str:
                return str(daemon.get(f"/api/v1/drills/{drill}")["state"])

            def ordered(service: str) -> str:
                status, body = daemon.post(f"/api/v1/services/{service}/drills", named)
                assert status == 202, body
                return str(body["id"])

            begun = [ordered(f"slow-{number}") for number in range(4)]
            daemon.wait_for(lambda: all(state(drill) == "attempted" for drill in begun), 30)
            quick = ordered("checkout")
            daemon.wait_for(lambda: state(quick) == "accepted", 30)
            assert [state(drill) for drill in begun] == ["attempted"] * 4

"""The commands that speak to the API, against the true web room."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import Result
from support.seeded_store import Seeded
from support.web_server import APPROVE, READ, TOKENS, Running, serving_seeded

from watcher.cli import explain, status
from watcher.model.order import RollbackState
from watcher.store import deploys, orders, watches
from watcher.web import decide

Invoke = Callable[..., Result]
ISO = "%Y-%m-%dT%H:%M:%SZ"


def test_status_shows_the_newest_first_and_what_waits(invoke: Invoke, seeded: Seeded) -> None:
    result = invoke("status")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["OUTCOME", "SERVICE", "VERSION", "ENVIRONMENT", "DEPLOYED", "ID", "WHY"]
    assert [re.findall(r"w-\d{4}", line)[0] for line in lines[1:7]] == [
        *("w-0044", "w-0043", "w-0042", "w-0041", "w-0020", "w-0019")
    ]
    assert re.search(r"\b\d+ min ago", lines[2])
    assert "Rollback to v42 waits for approval" in lines[2]
    assert "users recovered" in lines[4]
    assert lines[-1].endswith("watcher approve w-0043 --reason TEXT, or refuse")


def test_status_of_one_service(invoke: Invoke) -> None:
    result = invoke("status", "--service", "search", "--limit", "2", "--json")
    found = json.loads(result.stdout)["watches"]
    assert [watch["id"] for watch in found] == ["w-0044", "w-0020"]


def test_status_is_cut_to_the_terminal(invoke: Invoke, seeded: Seeded) -> None:
    found = json.loads(invoke("status", "--json").stdout)["watches"]
    text = status.table(found, seeded.now, 100)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "…" in text


def test_status_of_nothing_says_what_to_do() -> None:
    assert "watcher deploy --service" in status.table([], 0.0, None)


def test_status_of_a_service_that_has_none_does_not_say_that_there_is_none_at_all(invoke: Invoke) -> None:
    result = invoke("status", "--service", "chekout")
    assert result.stdout == "No deploy of chekout is watched yet; without --service all are shown.\n"


def test_explain_tells_everything(invoke: Invoke, seeded: Seeded) -> None:
    result = invoke("explain", seeded.waiting.id)
    text = re.sub(r"\s+", " ", result.stdout)
    assert text.startswith("✕ REGRESSED checkout v43 in production")
    assert seeded.waiting.sentence in text
    assert "(26 h" not in text
    assert "Rollback Rollback to v42 waits for approval" in text
    assert "watcher approve w-0043 --reason TEXT, or refuse" in text
    assert "Pipeline run: https://ci.example/runs/43" in text
    assert "✕ conversion: harm; −31 % (−36 % to −26 %): 2.4 % where 3.5 % was expected; since" in text  # noqa: RUF001
    assert text.index("conversion: harm") < text.index("p95 latency: suspect") < text.index("tickets (supporting)")
    assert "approval_wanted: roll back to v42?" in text
    assert result.exit_code == 0


def test_explain_does_not_say_that_a_watch_that_has_ended_goes_on(invoke: Invoke, seeded: Seeded) -> None:
    assert "Window       until 20" in invoke("explain", seeded.waiting.id).stdout
    stopped = decide.stop(seeded.database, seeded.waiting.id, by="mara", reason="a load test", now=seeded.now)
    text = re.sub(r"\s+", " ", invoke("explain", stopped.id).stdout)
    ended = time.strftime(ISO, time.gmtime(seeded.now))
    assert f"the watch ended before, {ended} (" in text
    assert "Window until" not in text


def test_explain_names_a_source_that_failed(invoke: Invoke, seeded: Seeded) -> None:
    text = invoke("explain", seeded.inconclusive.id).stdout
    assert "source failed; prometheus: connection refused" in text
    assert "Blind for    43 min" in text


def test_explain_takes_a_deploy_and_can_speak_json(invoke: Invoke, seeded: Seeded) -> None:
    shown = json.loads(invoke("explain", seeded.healthy.deploy_id, "--json").stdout)
    assert (shown["id"], shown["outcome"], len(shown["signals"])) == (seeded.healthy.id, "healthy", 4)
    lines = explain.text(shown, seeded.now, 80).splitlines()
    assert all(len(line) <= 80 for line in lines)


def test_explain_of_the_unknown_is_one_line(invoke: Invoke) -> None:
    result = invoke("explain", "w-1?x=1")
    assert result.exit_code == 5
    assert result.stderr == "watcher: there is no watch or deploy w-1?x=1\n"


def test_deploy_tells_once(invoke: Invoke, seeded: Seeded) -> None:
    at = time.strftime(ISO, time.gmtime(seeded.now - 60))
    arguments = [
        *("deploy", "--service", "checkout", "--environment", "production", "--version", "v50", "--id", "run-50"),
        *("--previous-version", "v43", "--started-at", at, "--finished-at", str(seeded.now - 30)),
        *("--link", "Run=https://ci.example/50", "--link", "Diff=https://git.example/a=b"),
    ]
    first, again = invoke(*arguments), invoke(*arguments)
    assert (first.exit_code, first.stdout) == (0, again.stdout), first.output
    deploy_id, watch_id = (line.split()[1] for line in first.stdout.splitlines())
    with seeded.database.read() as tx:
        stored = deploys.get(tx, deploy_id)
        watch = watches.get(tx, watch_id)
    assert stored is not None
    assert watch is not None
    assert stored.links == {"Run": "https://ci.example/50", "Diff": "https://git.example/a=b"}
    assert (stored.started_at, stored.finished_at) == (seeded.now - 60, seeded.now - 30)
    assert (watch.version, watch.previous_version) == ("v50", "v43")


def test_deploy_can_wait(invoke: Invoke) -> None:
    words = ("deploy", "--service", "checkout", "--environment", "production", "--version", "v50")
    result = invoke(*words, "--wait", "--timeout", "0.1s")
    assert result.exit_code == 4
    assert "the first look is yet to come" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--service", "chekout"], 5, "expected one of the services checkout, search"),
        (["--started-at", "yesterday"], 5, "started_at: expected"),
        (["--started-at", "nan"], 5, "started_at: expected"),
        (["--started-at", "-inf"], 5, "started_at: expected"),
        (["--link", "https://ci.example"], 2, "expected TITLE=URL"),
        (["--link", "a=javascript:x"], 5, "links.a: expected an http or https URL"),
    ],
)
def test_deploy_says_what_is_wrong(invoke: Invoke, arguments: list[str], exit_code: int, words: str) -> None:
    base = {"--service": "checkout", "--environment": "production", "--version": "v50"}
    base[arguments[0]] = arguments[1]
    result = invoke("deploy", *(part for pair in base.items() for part in pair))
    assert (result.exit_code, words in result.stderr) == (exit_code, True), result.output


def test_approve_then_it_is_too_late_to_refuse(invoke: Invoke, seeded: Seeded) -> None:
    approved = invoke("approve", seeded.waiting.deploy_id, "--reason", "seen it myself")
    assert approved.exit_code == 0, approved.output
    assert "Rollback to v42 is approved" in approved.stdout
    with seeded.database.read() as tx:
        order = orders.rollback_of(tx, seeded.waiting.id)
    assert order is not None
    assert (order.state, order.decided_by) == (RollbackState.APPROVED, "local user")
    assert "seen it myself" in order.detail
    late = invoke("refuse", seeded.waiting.id, "--reason", "no")
    assert late.exit_code == 5
    assert "no longer waits" in late.stderr


def test_refuse(invoke: Invoke, seeded: Seeded) -> None:
    assert "Rollback refused" in invoke("refuse", seeded.waiting.id, "--reason", "a campaign ended").stdout


def test_a_decision_needs_a_reason(invoke: Invoke, seeded: Seeded) -> None:
    assert invoke("approve", seeded.waiting.id).exit_code == 2
    empty = invoke("approve", seeded.waiting.id, "--reason", " ")
    assert empty.exit_code == 5
    assert "reason: expected" in empty.stderr


def test_a_decision_is_kept_under_the_tokens_name(seeded: Seeded, invoke: Invoke) -> None:
    arguments = ("approve", seeded.waiting.id, "--reason", "yes")
    with serving_seeded(seeded, tokens=TOKENS) as running:
        reader = invoke(*arguments, WATCHER_URL=running.url, WATCHER_TOKEN=READ.secret.get_secret_value())
        assert (reader.exit_code, "scope approve" in reader.stderr) == (5, True)
        nobody = invoke(*arguments, WATCHER_URL=running.url)
        assert nobody.exit_code == 5
        mara = invoke(*arguments, WATCHER_URL=running.url, WATCHER_TOKEN=APPROVE.secret.get_secret_value())
        assert mara.exit_code == 0, mara.output
    with seeded.database.read() as tx:
        texts = [line.text for line in watches.events_of(tx, seeded.waiting.id)]
    assert "approved by mara: yes" in texts


def test_a_rollback_that_nobody_approved_in_time(invoke: Invoke, seeded: Seeded) -> None:
    with seeded.database.write() as tx:
        order = orders.rollback_of(tx, seeded.waiting.id)
        assert order is not None
        orders.change(tx, replace(order, expires_at=seeded.now - 1))
    result = invoke("approve", seeded.waiting.id, "--reason", "late")
    assert (result.exit_code, "expired" in result.stderr) == (5, True)


def test_no_daemon_is_one_line_for_every_command(daemon: Running, invoke: Invoke) -> None:
    daemon.server.stop()
    for arguments in (["status"], ["explain", "w-1"], ["approve", "w-1", "--reason", "x"]):
        result = invoke(*arguments)
        assert result.exit_code == 5
        assert result.stderr.startswith(f"watcher: cannot reach the watcher at {daemon.url}: ")
        assert len(result.stderr.splitlines()) == 1

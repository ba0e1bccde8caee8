"""What every rollback target in the registry must do. A new kind needs a `Rig` here."""

from __future__ import annotations

import gc
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs
from support.fault_server import BODY_FAULTS, MOST_BYTES, WIRE_FAULTS, Answer, FaultServer, expected, patience
from support.orders import an_order
from support.plain_tools import plain_tools
from support.programs import free_port

from watcher import registry
from watcher.errors import ExternalError, Fault
from watcher.model.order import RollbackOrder
from watcher.ports import RollbackTarget

WHSEC = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtMDE="
TOLD = ("rollback_id", "watch_id", "deploy_id", "service", "environment", "bad_version", "target_version", "sentence")


@dataclass(frozen=True)
class Failure:
    """A way to fail: options that fail so, and how the error must tell of it."""

    options: Mapping[str, Any]
    fault: Fault
    permanent: bool
    sent: bool


@dataclass(frozen=True)
class Rig:
    """A receiver. `received` gives every order it was told, as data, with `key`, `url` and `dry_run`."""

    kind: str
    options: Mapping[str, Any]
    secrets: tuple[str, ...]
    received: Callable[[], list[dict[str, Any]]]

    def target(self, **changes: Any) -> RollbackTarget:
        adapter = registry.adapter("rollback", self.kind)
        made: RollbackTarget = adapter("cd", adapter.Options(**(dict(self.options) | changes)), plain_tools())
        return made


WEBHOOK_SECRETS = (WHSEC, "url-token-1", "bearer-token-1", "header-token-1")


def webhook_options(base: str) -> dict[str, Any]:
    return {
        "url": f"{base}/rollback?token=url-token-1",
        "secret": WHSEC,
        "bearer_token": "bearer-token-1",
        "headers": {"x-token": "header-token-1"},
        "timeout": 60,
        "max_bytes": MOST_BYTES,
        "heeds_dry_run": True,
    }


def webhook_rig(server: FaultServer) -> Rig:
    server.answer = lambda _request: Answer.of({"id": "run-17"}, 202)

    def received() -> list[dict[str, Any]]:
        return [request.json() | {"key": request.headers["idempotency-key"]} for request in server.requests]

    return Rig("webhook", webhook_options(server.url), WEBHOOK_SECRETS, received)


SCRIPT = """
import json, os, sys
with open(sys.argv[1], "a", encoding="utf-8") as file:
    file.write(json.dumps({"argv": sys.argv[2:], "env": dict(os.environ)}) + "\\n")
print("started run-17")
"""


def command_rig(folder: Path) -> Rig:
    script, log = folder / "rollback.py", folder / "orders"
    script.write_text(SCRIPT, encoding="utf-8")
    log.touch()
    names = (*TOLD, "url", "dry_run")

    def received() -> list[dict[str, Any]]:
        runs = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return [_as_told(run["env"], run["argv"], names) for run in runs]

    argv = [sys.executable, "-I", str(script), str(log), *(f"{name}={{{name}}}" for name in names)]
    return Rig("command", {"argv": argv, "env": ["PATH", "CD_TOKEN"], "timeout": 60}, ("command-token-1",), received)


def _as_told(env: Mapping[str, str], argv: list[str], names: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: env["WATCHER_WATCH_URL" if name == "url" else f"WATCHER_{name.upper()}"] for name in names
    }
    assert argv == [f"{name}={told[name]}" for name in names]
    return told | {"dry_run": told["dry_run"] == "1", "key": told["rollback_id"]}


KINDS = ("command", "webhook")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv("CD_TOKEN", "command-token-1")
    if request.param == "command":
        yield command_rig(tmp_path)
        return
    with FaultServer() as server:
        yield webhook_rig(server)


@pytest.fixture
def nothing_left_open() -> Iterator[None]:
    yield
    gc.collect(1)  # a socket or a file that was left open warns here


def test_every_kind_is_tested() -> None:
    assert set(KINDS) == set(registry.kinds("rollback"))


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_receiver_is_told_the_whole_order_once(rig: Rig, dry_run: bool) -> None:
    order = an_order(dry_run=dry_run)
    receipt = rig.target().trigger(order)
    assert receipt.accepted
    assert rig.received() == [_data(order)]
    assert "run-17" in receipt.detail + receipt.reference


def test_a_drill_reaches_only_who_says_that_it_heeds_one(rig: Rig) -> None:
    plain = [sys.executable, "-c", ""]
    target = rig.target(heeds_dry_run=False, **({"argv": plain} if rig.kind == "command" else {}))
    with pytest.raises(ExternalError) as error:
        target.trigger(an_order(dry_run=True))
    assert (error.value.permanent, error.value.sent, "heeds_dry_run" in str(error.value)) == (True, False, True)
    assert rig.received() == []


def _data(order: RollbackOrder) -> dict[str, Any]:
    fields = {name: getattr(order, name) for name in (*TOLD, "url", "dry_run")}
    return fields | {"key": order.key}


@pytest.mark.parametrize(
    "text",
    ["$(touch x) `id` ; rm -rf / | x & y", "{service} {{x}} %s \\n", "ключ 版本 👍", "'\"", "a\nb\tc", "x" * 5000],
)
def test_texts_arrive_as_they_are(rig: Rig, text: str) -> None:
    order = an_order(sentence=text, service=text, target_version=text)
    rig.target().trigger(order)
    assert rig.received() == [_data(order)]


def test_the_same_order_twice_has_the_same_key(rig: Rig) -> None:
    target = rig.target()
    for _ in range(2):
        target.trigger(an_order())
    target.trigger(an_order(rollback_id="rb_02"))
    assert [told["key"] for told in rig.received()] == ["rb_01", "rb_01", "rb_02"]
    assert isinstance(target.idempotent, bool)


def test_options_are_strict_frozen_and_silent(rig: Rig) -> None:
    options_class = registry.adapter("rollback", rig.kind).Options
    options = options_class(**rig.options)
    with pytest.raises(ValidationError, match="frozen"):
        options.timeout = 1
    with pytest.raises(ValidationError, match="no_such_key"):
        options_class(**rig.options, no_such_key=1)
    with pytest.raises(ValidationError):
        options_class()
    for secret in rig.secrets:
        assert secret not in repr(options) + str(options) + options.model_dump_json()


def command_failures(folder: Path) -> dict[str, Failure]:
    sh = "/bin/sh"
    leak = "echo $CD_TOKEN >&2;"
    late = {"argv": [sh, "-c", leak + "sleep 600"], "timeout": 0.3}
    plain = folder / "not-a-program"
    plain.write_text("text", encoding="utf-8")
    return {
        "status": Failure({"argv": [sh, "-c", leak + "exit 3"]}, Fault.COMMAND, permanent=True, sent=True),
        "signal": Failure({"argv": [sh, "-c", leak + "kill -9 $$"]}, Fault.COMMAND, permanent=False, sent=True),
        "time": Failure(late, Fault.TIMEOUT, permanent=False, sent=True),
        "missing": Failure({"argv": ["/no/such/program"]}, Fault.COMMAND, permanent=True, sent=False),
        "not executable": Failure({"argv": [str(plain)]}, Fault.COMMAND, permanent=True, sent=False),
        "no directory": Failure({"argv": [sh], "cwd": "/no/such/place"}, Fault.COMMAND, permanent=True, sent=False),
        "an option": Failure({"argv": [sh, "{rollback_id}"]}, Fault.COMMAND, permanent=True, sent=False),
    }


COMMAND_FAILURES = ("status", "signal", "time", "missing", "not executable", "no directory", "an option")


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("name", COMMAND_FAILURES)
def test_command_fails_as_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CD_TOKEN", "command-token-1")
    failures = command_failures(tmp_path)
    assert set(failures) == set(COMMAND_FAILURES)
    rig = command_rig(tmp_path)
    order = an_order(rollback_id="--rb") if name == "an option" else an_order()
    fails(replace(rig, options=dict(rig.options) | dict(failures[name].options)), failures[name], order, caplog)


@pytest.mark.usefixtures("nothing_left_open")
@pytest.mark.parametrize("name", [*WIRE_FAULTS, "refused"])
def test_webhook_fails_as_it_says(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with FaultServer() as server:
        rig = webhook_rig(server)
        if name == "refused":
            rig = replace(rig, options=webhook_options(f"http://127.0.0.1:{free_port()}"))
            failure = Failure({}, Fault.CONNECTION, permanent=False, sent=False)
        else:
            server.answer = lambda _request: WIRE_FAULTS[name]
            fault, permanent = expected(name)
            failure = Failure({"timeout": patience(name)}, fault, permanent, sent=True)
        rig = replace(rig, options=dict(rig.options) | dict(failure.options))
        error = fails(rig, failure, an_order(), caplog)
    assert error.retry_after == {"rate_limited": 7.0, "unavailable_retry_after": 30.0}.get(name)


def fails(rig: Rig, failure: Failure, order: RollbackOrder, caplog: pytest.LogCaptureFixture) -> ExternalError:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs, pytest.raises(ExternalError) as caught:
        rig.target().trigger(order)
    error = caught.value
    assert (error.fault, error.permanent, error.sent) == (failure.fault, failure.permanent, failure.sent)
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(logs)
    # urllib3 writes paths at level DEBUG; the product never turns that on.
    shown += "".join(record.getMessage() for record in caplog.records if not record.name.startswith("urllib3"))
    assert not [secret for secret in rig.secrets if secret in shown]
    return error


@pytest.mark.parametrize("name", BODY_FAULTS)
def test_webhook_takes_any_success_whatever_its_body(name: str) -> None:
    with FaultServer() as server:
        rig = webhook_rig(server)
        server.answer = lambda _request: BODY_FAULTS[name]
        receipt = rig.target().trigger(an_order())
    assert (receipt.accepted, receipt.reference) == (True, "")

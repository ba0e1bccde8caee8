"""The examples in docs/adapters are run as they stand there, and no option is missing from its table."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.fault_server import Answer, FaultServer, Request
from support.orders import an_order
from support.plain_tools import plain_tools
from support.programs import Program, free_port, require

from watcher import registry
from watcher.errors import ExternalError, Fault
from watcher.intake.generic import Generic, GenericOptions
from watcher.kit import clock
from watcher.rollback.webhook import Webhook, WebhookOptions

DOCS = Path(__file__).parents[3] / "docs" / "adapters"
PAGES = {"hooks": "intake.md", "rollback": "rollback.md", "notifiers": "notify.md"}
WHSEC = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtMDE="


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        one.answer = lambda _request: Answer(202)
        yield one


def shell(script: str, **env: str) -> None:
    require("bash", "curl", "openssl")
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env={"PATH": os.environ["PATH"], **env}, check=True, timeout=120
    )


def accepted(request: Request, **options: str) -> None:
    generic = Generic("pipeline", GenericOptions.model_validate(options), plain_tools())
    generic.verify(request.headers, request.body, clock.now())
    (event,) = generic.parse(request.headers, request.body, clock.now()).events
    assert (event.version, event.attributes["service"]) == ("2.14.0", "checkout")


def test_curl_with_a_bearer_token(server: FaultServer) -> None:
    bearer, *_ = blocks("intake.md", "sh")
    shell(bearer, WATCHER=server.url, HOOK_TOKEN="tok-1", RUN_ID="4711")
    (request,) = server.requests
    assert (request.path, request.headers["idempotency-key"]) == ("/hooks/pipeline", "4711")
    accepted(request, token="tok-1")


def test_curl_with_a_signature_by_a_plain_secret(server: FaultServer) -> None:
    _, signed, *_ = blocks("intake.md", "sh")
    shell(signed, WATCHER=server.url, HOOK_SECRET="a plain secret", RUN_ID="4711")
    (request,) = server.requests
    assert request.path == "/hooks/signed"
    accepted(request, secret="a plain secret")


def test_curl_with_a_signature_by_a_whsec_secret(server: FaultServer) -> None:
    _, signed, whsec, *_ = blocks("intake.md", "sh")
    head, curl = signed[: signed.index("signature=")], signed[signed.index("curl ") :]
    shell(head + whsec + curl, WATCHER=server.url, HOOK_SECRET=WHSEC, RUN_ID="4711")
    accepted(server.requests[0], secret=WHSEC)


def test_the_messages_are_understood() -> None:
    for page in ("intake.md", "rollback.md"):
        for message in blocks(page, "json"):
            generic = Generic("pipeline", GenericOptions.model_validate({"token": "t"}), plain_tools())
            assert generic.parse({}, message.encode(), clock.now()).events


def until_listening(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 10).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "not listening after 60 s"
            time.sleep(0.05)
        else:
            return


def test_the_receiver_of_rollbacks(tmp_path: Path) -> None:
    (source,) = blocks("rollback.md", "python")
    (tmp_path / "receiver.py").write_text(source, encoding="utf-8")
    port, log = free_port(), tmp_path / "log"
    env = {"ROLLBACK_SECRET": WHSEC, "PORT": str(port)}
    program = Program([sys.executable, "-I", str(tmp_path / "receiver.py")], log, env)
    try:
        until_listening(port)
        options = WebhookOptions.model_validate(
            {"url": f"http://127.0.0.1:{port}/rollback", "secret": WHSEC, "heeds_dry_run": True}
        )
        webhook = Webhook("cd", options, plain_tools())
        receipts = [webhook.trigger(an_order()) for _ in range(2)]
        assert [receipt.reference for receipt in receipts] == ["run-rb_01", "run-rb_01"]
        assert webhook.trigger(an_order(rollback_id="rb_02", dry_run=True)).reference == ""
        assert log.read_text(encoding="utf-8").count("2.14.0 -> 2.13.9") == 1
        wrong = WebhookOptions.model_validate({"url": f"http://127.0.0.1:{port}/rollback", "secret": "another"})
        late = Webhook("cd", options, plain_tools(lambda: time.time() - 301))
        for forged in (Webhook("cd", wrong, plain_tools()), late):
            with pytest.raises(ExternalError) as error:
                forged.trigger(an_order(rollback_id="rb_03"))
            assert error.value.fault is Fault.UNAUTHORIZED
    finally:
        program.stop()


@pytest.mark.parametrize("section", PAGES)
def test_every_option_of_every_kind_is_in_its_table(section: str) -> None:
    text = (DOCS / PAGES[section]).read_text(encoding="utf-8")
    for kind in registry.kinds(section):
        (part,) = re.findall(rf"^## {kind}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        rows = "\n".join(line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `"))
        missing = [name for name in registry.adapter(section, kind).Options.model_fields if f"`{name}`" not in rows]
        assert not missing, (kind, missing)


@pytest.mark.parametrize("section", PAGES)
def test_the_configurations_are_good(section: str) -> None:
    found = 0
    for block in blocks(PAGES[section], "yaml"):
        tree = yaml.safe_load(block)
        entries = list(tree.get(section, {}).values())
        entries += [service["rollback"] for service in tree.get("services", {}).values() if section in service]
        for entry in entries:
            options = {key: value for key, value in entry.items() if key != "kind"}
            text = re.sub(r"\$\{SLACK_URL\}", "https://hooks.slack.com/services/x", json.dumps(options))
            registry.adapter(section, entry["kind"]).Options.model_validate(json.loads(text))
            found += 1
    assert found >= 2

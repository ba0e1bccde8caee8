"""What the OpenAPI document promises holds for generated requests, good and bad: status, shape, refusal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr
from support.seeded_store import Seeded
from support.web_server import serving_seeded

from watcher.web.context import Token

ALL = Token("all", SecretStr("secret-of-all-0123456789"), frozenset({"read", "deploy", "approve"}))
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "ignored_auth,negative_data_rejection"
)


def test_the_document_holds(seeded: Seeded, tmp_path: Path) -> None:
    with serving_seeded(seeded, tokens=(ALL,), loopback=False) as running:
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.url}/openapi.json"),
                *("--checks", CHECKS, "--phases", "coverage", "--seed", "7", "--workers", "2"),
                *("--exclude-path-regex", "(refuse|stop|healthz|readyz|metrics)$"),  # alike, or without a question
                *("-H", f"Authorization: Bearer {ALL.secret.get_secret_value()}", "--no-color"),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "Tested: 7" in done.stdout, "every other operation of the document"

"""Every proof that the threat model names is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = (TESTS.parent / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_named_test_is_there() -> None:
    named = re.findall(r"`((?:unit|conformance|end_to_end)/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 30
    for file, function in named:
        code = (TESTS / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in code, f"{file}::{function}"


def test_every_threat_has_a_proof() -> None:
    rows = [
        line for line in PAGE.partition("## Threats")[2].splitlines() if line.startswith("| ") and "---" not in line
    ]
    for row in rows:
        if not row.startswith("| threat |"):
            assert ".py" in row.rsplit("|", 2)[1], row

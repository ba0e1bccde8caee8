"""The examples in the pages of sources and ticket systems are configurations, and no option or key is left unsaid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from watcher import registry, settings

DOCS = Path(__file__).parents[3] / "docs" / "adapters"
PAGES = {"sources": "sources.md", "ticket_systems": "tickets.md"}
SHARED = {"sources": "Metrics by name", "ticket_systems": ""}


def page(section: str) -> str:
    return (DOCS / PAGES[section]).read_text(encoding="utf-8")


def part(section: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page(section), re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def said(text: str) -> set[str]:
    """Every name in the first column of a table."""
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`([a-z_]+)`", "\n".join(rows)))


@pytest.mark.parametrize("section", PAGES)
def test_every_option_and_every_key_is_in_a_table(section: str) -> None:
    for kind in registry.kinds(section):
        adapter = registry.adapter(section, kind)
        names = said(part(section, kind)) | said(part(section, SHARED[section]))
        missing = [*adapter.Options.model_fields.keys() - names, *adapter.Query.model_fields.keys() - names]
        assert not missing, (kind, missing)


def examples() -> list[Any]:
    found = []
    for section in PAGES:
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page(section), re.DOTALL | re.MULTILINE)):
            found.append(pytest.param(block, id=f"{section}-{number}"))
    return found


@pytest.mark.parametrize("block", examples())
def test_the_examples_are_good_configurations(block: str, tmp_path: Path) -> None:
    environ = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", block), "a-secret-of-some-length")
    tree = yaml.safe_load(block)
    if "services" not in tree:
        [name] = tree["sources"]
        signal = {"source": name, "kind": "gauge", "harm": "up", "gauge": "up"}
        tree["services"] = {"checkout": {"signals": {"up": signal}}}
    file = tmp_path / "watcher.yaml"
    file.write_text(yaml.safe_dump(tree))
    assert settings.load(str(file), environ).services["checkout"].signals

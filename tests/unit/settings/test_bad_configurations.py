"""Every file under tests/config/bad gives exactly the message beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher import settings
from watcher.errors import ConfigError

ROOT = Path(__file__).parents[3]
BAD = ROOT / "tests" / "config" / "bad"
SECRET = "hush-hush"
ENVIRON = {"SECRET": SECRET, "EMPTY": ""}


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.yaml")))
def test_the_message_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError) as raised:
        settings.load(f"tests/config/bad/{name}.yaml", ENVIRON)
    assert f"{raised.value}\n" == (BAD / f"{name}.txt").read_text("utf-8")
    assert SECRET not in str(raised.value)


def test_every_message_has_its_file() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.yaml")}


def test_every_message_names_file_line_and_what_was_expected() -> None:
    lines = [line for path in BAD.glob("*.txt") for line in path.read_text("utf-8").splitlines()]
    assert [
        line for line in lines if not line.startswith("tests/config/bad/") or not line.split(":")[1].isdigit()
    ] == []
    # A few adapters say in one clause of their own what is wrong and what is wanted.
    without = [line for line in lines if "(expected " not in line]
    assert len(without) <= 3, without


@pytest.mark.parametrize("name", ["nowhere.yaml", ".", "nul\0.yaml"])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":1: .*\(expected a YAML file\)"):
        settings.load(str(tmp_path / name), {})

"""`watcher import` fills a source's own history, and says plainly when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from watcher.cli.main import cli
from watcher.model.series import Window
from watcher.settings import load
from watcher.store.database import Database

CONFIG = """
store: {{path: {store}}}
hooks:
  ci: {{kind: generic, token: token-of-the-pipeline}}
sources:
  shop: {{kind: openmetrics, url: "http://127.0.0.1:9/metrics"}}
  prom: {{kind: prometheus, url: "http://127.0.0.1:9"}}
services:
  checkout:
    signals:
      conversion: {{source: shop, kind: ratio, harm: down, good: orders_total, total: sessions_total}}
"""
START = 1_800_000_000 // 60 * 60
Import = Callable[[str, str], Result]


@pytest.fixture
def import_(tmp_path: Path) -> Import:
    (tmp_path / "watcher.yaml").write_text(CONFIG.format(store=tmp_path / "watcher.db"))

    def run(source: str, text: str) -> Result:
        (tmp_path / "history.txt").write_text(text)
        arguments = ["import", "--config", str(tmp_path / "watcher.yaml"), "--source", source]
        return CliRunner().invoke(cli, [*arguments, str(tmp_path / "history.txt")])

    return run


def history(minutes: int) -> str:
    lines = []
    for name, per_minute in (("sessions", 50), ("orders", 5)):
        lines.append(f"# TYPE {name} counter")
        lines += [f"{name}_total {per_minute * minute} {START + 60 * minute}" for minute in range(minutes + 1)]
    return "\n".join([*lines, "# EOF", ""])


def test_what_was_imported_is_what_the_signal_then_measures(import_: Import, tmp_path: Path) -> None:
    result = import_("shop", history(10))
    assert result.exit_code == 0, result.output
    assert "imported into shop for 1 signal" in result.output
    from watcher.adapters import build_adapters

    settings = load(str(tmp_path / "watcher.yaml"), {})
    database = Database(settings.store_url.get_secret_value())
    signal = settings.services["checkout"].signal("conversion")
    series = build_adapters(settings, database).sources["shop"].fetch(signal, Window(START, START + 600, 60.0))
    database.close()
    assert series.totals is not None
    assert series.values.tolist()[1:] == [5.0] * (len(series) - 1)
    assert series.totals.tolist()[1:] == [50.0] * (len(series) - 1)
    assert len(series) >= 9


@pytest.mark.parametrize(
    ("source", "text", "said"),
    [
        ("nobody", history(1), "no source named nobody; the configuration has prom, shop"),
        ("prom", history(1), "keeps no history of its own"),
        ("shop", "sessions_total five 1\n# EOF\n", "line 1"),
        ("shop", "# TYPE other counter\nother_total 1 1800000000\n# EOF\n", "nothing in the file matches"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_status_1(import_: Import, source: str, text: str, said: str) -> None:
    result = import_(source, text)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_file_of_another_kind_is_one_line_too(import_: Import, tmp_path: Path) -> None:
    import_("shop", history(1))
    (tmp_path / "past.gz").write_bytes(b"\x1f\x8b\x08\x00")
    arguments = ["import", "--config", str(tmp_path / "watcher.yaml"), "--source", "shop", str(tmp_path / "past.gz")]
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert result.stderr == f"{tmp_path / 'past.gz'}: not UTF-8 (expected OpenMetrics text); nothing was imported\n"


def test_a_bad_configuration_is_named(import_: Import, tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text("services: {}\nnonsense: 1\n")
    result = import_("shop", history(1))
    assert result.exit_code == 1
    assert "nonsense" in result.output

import os
import re
import shutil
import subprocess
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from watcher.demo.metrics import scrape
from watcher.demo.shop import STEP, Shop
from watcher.demo.traffic import BOUNDS, CONVERSION

NOW = 1_780_000_001.3
PAST = 1200.0
SAMPLE = re.compile(r'(?P<name>[a-z_]+)(\{[a-z]+="(?P<label>[^"]*)"\})? (?P<value>[\d.]+)( (?P<at>[\d.]+))?')
Key = tuple[str, str]


def _points(text: str) -> dict[Key, list[tuple[float, float]]]:
    """(name, label value) -> its points, (time or 0, value)."""
    found: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[match["name"], match["label"] or ""].append((float(match["at"] or 0), float(match["value"])))
    return found


def _shop() -> Shop:
    return Shop(NOW, seed=11, past=PAST)


@pytest.mark.prometheus
def test_prometheus_itself_can_be_back_filled_with_the_history(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        assert not os.environ.get("CI"), "promtool is missing"
        pytest.skip("promtool is missing")
    (tmp_path / "past.om").write_text(_shop().history(NOW))
    argv = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=240h", "past.om", "blocks"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    series, points = len(BOUNDS) + 3 + 5, round(PAST / STEP) + 1
    assert f" {series * points} " in done.stdout


def test_a_scrape_is_openmetrics() -> None:
    families = {
        family.name: family.type
        for family in text_string_to_metric_families(_shop().metrics(NOW))  # type: ignore[no-untyped-call]
    }
    assert families == {
        **dict.fromkeys(("shop_visitors", "shop_sessions", "shop_orders", "shop_requests", "shop_errors"), "counter"),
        "shop_request_duration_seconds": "histogram",
        "shop_version": "info",
    }


def test_the_history_has_a_point_each_step() -> None:
    points = _points(_shop().history(NOW))
    times = [at for at, _ in points["shop_sessions_total", ""]]
    assert len(times) == PAST / STEP + 1
    assert all([at for at, _ in series] == times for series in points.values())


def test_every_counter_of_the_history_only_grows() -> None:
    for series in _points(_shop().history(NOW)).values():
        assert all(later >= sooner for (_, sooner), (_, later) in pairwise(series))
        assert series[-1][1] > series[0][1]


def test_a_scrape_goes_on_where_the_history_ends() -> None:
    shop = _shop()
    past = _points(shop.history(NOW))
    live = _points(shop.metrics(NOW + 0.1))
    assert past.keys() == live.keys() - {("shop_version_info", "v1")}
    for key, series in past.items():
        before, now = series[-1][1], live[key][0][1]
        assert before <= now <= before * 1.02


def test_the_conversion_of_the_history_is_that_of_the_present() -> None:
    shop = _shop()
    past = _points(shop.history(NOW))
    shop.advance(NOW + PAST)
    present = _points(shop.metrics(NOW + PAST))
    orders, sessions = (past[name, ""] for name in ("shop_orders_total", "shop_sessions_total"))
    before = orders[-1][1] / sessions[-1][1]
    after = (present["shop_orders_total", ""][0][1] - orders[-1][1]) / (
        present["shop_sessions_total", ""][0][1] - sessions[-1][1]
    )
    assert abs(before - CONVERSION) < 0.05 * CONVERSION
    assert abs(after - before) < 0.05 * before


def test_the_scrape_names_the_version() -> None:
    shop = _shop()
    shop.deploy("v3", NOW)
    assert 'shop_version_info{version="v3"} 1' in shop.metrics(NOW)
    assert scrape(shop._totals, "v3").endswith("# EOF\n")

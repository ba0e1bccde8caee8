"""One service written once for many names."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher import settings
from watcher.errors import ConfigError
from watcher.settings import Settings

HEAD = """
sources:
  prom: {kind: prometheus, url: "http://127.0.0.1:9090"}
  api: {kind: http_json, url: "http://127.0.0.1:9/x"}
services:
"""
SIGNALS = """
    signals:
      conversion: {source: prom, kind: ratio, harm: down, good: orders_total, total: sessions_total}
      load: {source: prom, kind: gauge, harm: up, query: "max(load1)", member: null, role: supporting}
      stock: {source: api, kind: gauge, harm: up, params: {shop: $service}}
"""


def load(directory: Path, services: str) -> Settings:
    file = directory / "watcher.yaml"
    file.write_text(HEAD + services)
    return settings.load(str(file), {})


def problems(directory: Path, services: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(directory, services)
    return [f"{problem.path}: {problem.message}" for problem in error.value.problems]


def test_a_template_is_one_service_of_each_name(tmp_path: Path) -> None:
    hook = "    rollback: {kind: webhook, url: 'https://cd.example/back', secret: 0123456789abcdef}\n"
    found = load(tmp_path, "  web:\n    each: [checkout, search]\n    mode: act\n    label: app\n" + hook + SIGNALS)
    assert list(found.services) == ["checkout", "search"]
    search = found.services["search"]
    assert (search.match, search.rollback) == ({"service": "search"}, "search")
    assert found.rollbacks["search"].name == "search"
    assert found.rollbacks["search"].options is found.rollbacks["checkout"].options
    assert search.signal("conversion").query == {
        "member": {"label": "app", "value": "search"},
        "good": "orders_total",
        "total": "sessions_total",
    }
    assert search.signal("load").query == {"query": "max(load1)", "member": None}, "the same for all services"
    assert search.signal("stock").query == {"params": {"shop": "search"}}


def test_the_name_can_stand_in_a_pattern(tmp_path: Path) -> None:
    found = load(
        tmp_path, "  web:\n    each: [a, b]\n    match: {repository: acme/$service, environment: prod-*}" + SIGNALS
    )
    assert found.services["b"].match == {"repository": "acme/b", "environment": "prod-*"}


def test_a_template_and_others_can_depend_on_its_services(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "  web:\n    each: [basket, account]\n    depends_on: [basket, checkout]"
        + SIGNALS
        + "  checkout:\n    depends_on: [account]"
        + SIGNALS
        + "  search:"
        + SIGNALS
        + "  index:\n    depends_on: []"
        + SIGNALS,
    )
    assert {name: service.depends_on for name, service in found.services.items()} == {
        "basket": ("basket", "checkout"),
        "account": ("basket", "checkout"),
        "checkout": ("account",),
        "search": None,
        "index": (),
    }


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("  web:\n    each: []" + SIGNALS, "services.web.each: "),
        ("  web:\n    each: [a, a]" + SIGNALS, "services.web.each[1]: the name stands twice"),
        ("  web:\n    each: [A b]" + SIGNALS, "services.web.each.A b: not a name"),
        ("  web:\n    label: app" + SIGNALS, "services.web.label: goes with each"),
        ("  web:\n    each: [a]\n    match: {service: web}" + SIGNALS, "services.web.match: matches the same deploys"),
        ("  a:" + SIGNALS + "  web:\n    each: [a]" + SIGNALS, 'services.web.each: another service is named "a"'),
        (
            "  v:\n    each: [a]" + SIGNALS + "  w:\n    each: [a]" + SIGNALS,
            'services.w.each: another service is named "a"',
        ),
    ],
)
def test_what_is_wrong_is_told_at_the_template(tmp_path: Path, services: str, said: str) -> None:
    found = problems(tmp_path, services)
    assert len(found) == 1
    assert found[0].startswith(said), found
    assert "(expected " in found[0]

"""One question for many services brings what a question for each would: on a real Prometheus, in every form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.fault_proxy import FaultProxy
from support.fault_server import Answer, Request
from support.measuring import a_signal, tools
from support.prometheus_server import PrometheusServer

from watcher.errors import ExternalError, Fault
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.sources.prometheus import Prometheus
from watcher.sources.prometheus_api import ApiOptions
from watcher.sources.promql import alternatives

pytestmark = pytest.mark.prometheus
STEP = 60.0
NOW = 1_780_000_020.0
SERVICES = ("alpha", "beta.v1", "beta-v1", "gamma")
WINDOW = Window(NOW - 3600, NOW, STEP)


def history() -> Iterator[str]:
    rng = np.random.default_rng(7)
    times = np.arange(NOW - 2 * 3600, NOW + 1, 15.0)
    yield "# TYPE requests counter"
    for service in SERVICES:
        for pod, code in (("0", "200"), ("1", "200"), *((("0", "500"),) if service != "gamma" else ())):
            totals = np.cumsum(rng.poisson(20 if code == "200" else 1, len(times)))
            labels = f'service="{service}",pod="{pod}",code="{code}"'
            for at, total in zip(times.tolist(), totals.tolist(), strict=True):
                yield f"requests_total{{{labels}}} {total} {at:.0f}"
    yield "# TYPE queue gauge"
    for service in SERVICES:
        for pod in ("0", "1") if service == "alpha" else ("0",):
            for at in times.tolist():
                yield f'queue{{service="{service}",pod="{pod}"}} {rng.normal(50, 5):.3f} {at:.0f}'
    yield "# TYPE latency histogram"
    for service in SERVICES:
        for bound, share in (("0.1", 0.5), ("0.5", 0.9), ("+Inf", 1.0)):
            total = 0.0
            for at in times.tolist():
                total += 40 * share
                yield f'latency_bucket{{service="{service}",le="{bound}"}} {total:.0f} {at:.0f}'


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    with PrometheusServer(tmp_path_factory.mktemp("prometheus")) as server:
        server.backfill(history())
        with FaultProxy(server.url) as one:
            yield one


def made(proxy: FaultProxy) -> Prometheus:
    proxy.requests.clear()
    return Prometheus("prom", ApiOptions(url=proxy.url, scrape_interval=15.0), tools(lambda: NOW))


BAD = {"counter": "requests_total", "labels": {"code": "500"}}
FORMS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "count": (Kind.COUNT, {"counter": "requests_total"}),
    "rate": (Kind.RATE, {"counter": "requests_total", "labels": {"pod": "0"}}),
    "ratio": (Kind.RATIO, {"bad": BAD, "total": "requests_total"}),
    "gauge": (Kind.GAUGE, {"gauge": "queue", "aggregate": "sum"}),
    "quantile": (Kind.LATENCY, {"histogram": "latency", "quantile": 0.9}),
}


def of(service: str, kind: Kind, query: dict[str, Any]) -> Signal:
    return a_signal(kind, STEP, **query, member={"label": "service", "value": service})


def alone(service: str, kind: Kind, query: dict[str, Any]) -> Signal:
    return a_signal(kind, STEP, **(query | {"labels": {**query.get("labels", {}), "service": service}}))


@pytest.mark.parametrize("form", FORMS)
def test_each_gets_what_it_would_get_alone(proxy: FaultProxy, form: str) -> None:
    source, (kind, query) = made(proxy), FORMS[form]
    signals = [of(service, kind, query) for service in SERVICES]
    assert len({source.kin(signal) for signal in signals}) == 1
    together = source.fetch_all(signals, WINDOW)
    assert len(proxy.requests) == (2 if kind is Kind.RATIO else 1)
    for service, found in zip(SERVICES, together, strict=True):
        expected = source.fetch(alone(service, kind, query), WINDOW)
        assert isinstance(found, Series)
        assert found.times.tolist() == expected.times.tolist()
        assert np.allclose(found.values, expected.values, rtol=1e-12)
        assert found.complete_until == expected.complete_until
        assert len(found) == 60
        assert (found.totals is None) == (expected.totals is None)
    if form == "ratio":
        assert isinstance(together[-1], Series)
        assert together[-1].values.tolist() == [0.0] * 60, "it has no 500s, and is there: zero"


def test_raw_promql_names_its_members(proxy: FaultProxy) -> None:
    source = made(proxy)
    raw = {"query": 'sum by (service) (increase(requests_total{service=~"$members"}[1m]))'}
    found = source.fetch_all([of(service, Kind.GAUGE, raw) for service in ("beta.v1", "gamma")], WINDOW)
    assert [isinstance(one, Series) and len(one) for one in found] == [60, 60]
    assert r'{service=~"beta\\.v1|gamma"}' in proxy.requests[0].form()["query"][0]
    one = source.fetch(of("beta.v1", Kind.GAUGE, raw), WINDOW)
    assert isinstance(found[0], Series)
    assert one.values.tolist() == found[0].values.tolist()


def test_a_query_that_does_not_say_whose_series_is_whose_is_refused(proxy: FaultProxy) -> None:
    with pytest.raises(ExternalError, match="no label service") as error:
        made(proxy).fetch_all([of(service, Kind.GAUGE, {"query": "sum(queue)"}) for service in SERVICES], WINDOW)
    assert error.value.fault is Fault.QUERY


def test_one_with_several_series_fails_alone_and_one_without_has_none(proxy: FaultProxy) -> None:
    query = {"gauge": "queue"}
    found = made(proxy).fetch_all([of(who, Kind.GAUGE, query) for who in ("alpha", "nobody", "gamma")], WINDOW)
    assert isinstance(found[0], ExternalError)
    assert "2 series" in str(found[0])
    assert isinstance(found[1], Series)
    assert isinstance(found[2], Series)
    assert (len(found[1]), len(found[2])) == (0, 60)


def test_what_the_server_finds_too_much_is_asked_in_smaller_slices(proxy: FaultProxy) -> None:
    source, through = made(proxy), proxy.answer

    def at_most_two(request: Request) -> Answer:
        if request.form()["query"][0].count("|") > 1:
            said = "query processing would load too many samples into memory in query execution"
            return Answer.of({"status": "error", "errorType": "execution", "error": said}, 422)
        return through(request)

    proxy.answer = at_most_two
    try:
        signals = [of(service, Kind.COUNT, {"counter": "requests_total"}) for service in SERVICES]
        assert [isinstance(one, Series) and len(one) for one in source.fetch_all(signals, WINDOW)] == [60] * 4
        assert len(proxy.requests) == 3
        source.fetch_all(signals, WINDOW)
        assert len(proxy.requests) == 5, "and not asked so large again"
    finally:
        proxy.answer = through


def test_a_long_history_of_many_is_asked_in_slices(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(proxy)
    monkeypatch.setattr(source, "_most", 120)
    signals = [of(service, Kind.COUNT, {"counter": "requests_total"}) for service in SERVICES]
    assert [isinstance(one, Series) and len(one) for one in source.fetch_all(signals, WINDOW)] == [60] * 4
    assert len(proxy.requests) == 2


def test_the_scrape_interval_is_found_out_once_for_all(proxy: FaultProxy) -> None:
    proxy.requests.clear()
    source = Prometheus("prom", ApiOptions(url=proxy.url), tools(lambda: NOW))
    for order in (SERVICES, SERVICES[::-1]):
        source.fetch_all([of(service, Kind.COUNT, {"counter": "requests_total"}) for service in order], WINDOW)
    assert [request.path.rpartition("/")[2] for request in proxy.requests] == ["query", "query"] + ["query_range"] * 2


@pytest.mark.parametrize("value", ["a.b", "a|b", "a\\b", 'a"b', "(x)[y]{z}^$*+?", "plain-1_2"])
def test_alternatives_match_themselves_alone(value: str) -> None:
    pattern = alternatives([value, "other"])
    assert re.fullmatch(pattern, value)
    assert not re.fullmatch(pattern, value + "x")
    assert not re.fullmatch(alternatives(["a.b"]), "axb")

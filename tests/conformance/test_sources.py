"""What every metric source must do, whichever service it asks: run over the whole registry.

A new source is red here until it is described in `DESCRIBED`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.fault_server import FAULTS, MOST_BYTES, WIRE_FAULTS, Answer, FaultServer, Request, expected, patience
from support.hostile import anything, assert_silent, assert_strict, echo, nearly
from support.measuring import a_signal, tools
from support.memory import DictMemory

from watcher import registry
from watcher.errors import ExternalError, Fault
from watcher.model.series import Series, Window
from watcher.model.service import Kind, Signal
from watcher.ports import Collects, MetricSource, Probes

STEP = 60.0
NOW = 1_700_000_040.0  # the end of a minute
WINDOW = Window(NOW - 600, NOW, STEP)
SECRET_CONNECTION = {
    "username": "watcher",
    "password": "s3cret-password",
    "headers": {"x-api-key": "s3cret-header"},
    "timeout": 60,
    "max_bytes": MOST_BYTES,
}


@dataclass(frozen=True)
class Described:
    """How to ask one kind of source for a count, and what its service answers.

    Attributes:
        options: beside `url` and the connection's.
        query: the signal's own keys.
        says: the service's answer to a question, given bucket end -> count.
        reads_json: whether the answer is JSON.
        settles: whether it has the option `settle`.
    """

    options: Mapping[str, Any]
    query: Mapping[str, Any]
    says: Callable[[Request, Mapping[float, float]], Answer]
    reads_json: bool = True
    settles: bool = True

    @property
    def signal(self) -> Signal:
        return a_signal(Kind.COUNT, STEP, **self.query)


def prometheus_says(request: Request, counts: Mapping[float, float]) -> Answer:
    start, end = (float(request.form()[name][0]) for name in ("start", "end"))
    pairs = [[at, str(count)] for at, count in sorted(counts.items()) if start <= at <= end]
    result = [{"metric": {}, "values": pairs}] if pairs else []
    return Answer.of({"status": "success", "data": {"resultType": "matrix", "result": result}})


def json_says(request: Request, counts: Mapping[float, float]) -> Answer:
    return Answer.of({"rows": [{"t": at, "n": count} for at, count in sorted(counts.items())]})


def metrics_say(request: Request, counts: Mapping[float, float]) -> Answer:
    """The counter after all of `counts`, and nothing of it if there are none."""
    text = f"orders_total {sum(counts.values())}\n" if counts else "up 1\n"
    return Answer(200, {"content-type": "text/plain; version=0.0.4"}, text.encode())


DESCRIBED = {
    "prometheus": Described(
        options={"scrape_interval": 15, "params": {"key": "s3cret-param"}},
        query={"counter": "orders_total"},
        says=prometheus_says,
    ),
    "openmetrics": Described(
        options={"interval": STEP},
        query={"counter": "orders_total"},
        says=metrics_say,
        reads_json=False,
        settles=False,
    ),
    "http_json": Described(
        options={"params": {"key": "s3cret-param"}},
        query={"points": "rows", "time": "t", "value": "n"},
        says=json_says,
    ),
}


def test_every_source_is_described() -> None:
    assert DESCRIBED.keys() == set(registry.kinds("sources"))


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


@dataclass
class Asked:
    """One kind of source in front of the server, at `now`."""

    kind: str
    server: FaultServer
    now: float = NOW

    def __post_init__(self) -> None:
        self.described = DESCRIBED[self.kind]
        self.memory = DictMemory()
        self.source = self.make()

    def options(self, **more: Any) -> Any:
        settings = {"url": self.server.url} | SECRET_CONNECTION | dict(self.described.options) | more
        return registry.adapter("sources", self.kind).Options.model_validate(settings)

    def make(self, **more: Any) -> MetricSource:
        made: MetricSource = registry.adapter("sources", self.kind)(
            "source", self.options(**more), tools(lambda: self.now, self.memory)
        )
        return made

    def ask(self, window: Window = WINDOW) -> Series:
        """The series; a source that gathers its own history takes a sample first."""
        if isinstance(self.source, Collects):
            self.source.collect(self.now, [self.described.signal])
        return self.source.fetch(self.described.signal, window)

    def live(self, counts: Mapping[float, float]) -> Series:
        """The series of a service that counted `counts` (bucket end -> count), asked as the daemon would."""
        self.server.answer = lambda request: self.described.says(request, counts)
        if isinstance(self.source, Collects):
            for at in np.arange(WINDOW.start, WINDOW.end + 1, STEP):
                known = {end: count for end, count in counts.items() if end <= at}
                base = {0.0: 1000.0} if counts else {}
                self.server.answer = lambda request, known=base | known: self.described.says(request, known)  # type: ignore[misc]
                self.now = float(at)
                self.source.collect(self.now, [self.described.signal])
        self.now = NOW
        return self.source.fetch(self.described.signal, WINDOW)


@pytest.fixture(params=sorted(DESCRIBED))
def asked(request: pytest.FixtureRequest, server: FaultServer) -> Asked:
    server.requests.clear()
    return Asked(request.param, server)


def outcome(asked: Asked) -> Series | ExternalError:
    try:
        return asked.ask()
    except ExternalError as error:
        return error


def assert_sound(series: Series, window: Window, now: float) -> None:
    """What every series promises, whatever the service answered."""
    assert series.times.shape == series.values.shape
    assert series.totals is None or series.totals.shape == series.times.shape
    assert (np.diff(series.times) > 0).all()
    assert ((series.times > window.start) & (series.times <= window.end)).all()
    assert np.array_equal(series.times, np.round(series.times / window.step) * window.step)
    assert series.step == window.step
    assert np.isfinite(series.complete_until)
    assert series.complete_until <= min(window.end, now)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_told_as_what_it_is(asked: Asked, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    asked.source = asked.make(timeout=patience(fault))
    asked.server.answer = lambda _request: FAULTS[fault]
    found = outcome(asked)
    if isinstance(found, ExternalError):
        assert (found.fault, found.permanent) == expected(fault)
        assert fault != "rate_limited" or found.retry_after == 7
        assert_silent(found, found.__cause__, caplog.text)
    else:
        assert fault not in WIRE_FAULTS, "a fault of the wire cannot be an answer"
        assert_sound(found, WINDOW, NOW)
        assert not len(found), "there was no number in it"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
def test_no_secret_is_in_what_it_says_even_if_the_service_repeats_it(
    asked: Asked, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked.server.answer = echo(status)
    with pytest.raises(ExternalError) as error:
        asked.ask()
    assert_silent(error.value, error.value.__cause__, caplog.text, asked.source, vars(asked.source), asked.options())
    assert len(str(error.value)) < 400
    sent = asked.server.requests[-1].headers
    assert sent["x-api-key"] == "s3cret-header", "it was sent, only not told"
    assert sent["authorization"].startswith("Basic ")


def test_a_service_that_is_not_there_may_be_asked_again(asked: Asked) -> None:
    asked.source = asked.make(url="http://127.0.0.1:9/x")
    with pytest.raises(ExternalError) as error:
        asked.ask()
    assert (error.value.fault, error.value.permanent) == (Fault.CONNECTION, False)


def test_zero_is_zero_and_nothing_is_nothing(asked: Asked) -> None:
    ends = np.arange(WINDOW.start + STEP, WINDOW.end + 1, STEP)
    zeros = asked.live(dict.fromkeys(ends.tolist(), 0.0))
    assert zeros.values.tolist() == [0.0] * len(zeros)
    assert len(zeros) >= 9
    nothing = Asked(asked.kind, asked.server).live({})
    assert len(nothing) == 0
    assert_sound(nothing, WINDOW, NOW)
    assert nothing.complete_until > WINDOW.start, "it was answered: there is nothing up to then"


def test_counts_come_back_as_they_were(asked: Asked) -> None:
    ends = np.arange(WINDOW.start + STEP, WINDOW.end + 1, STEP)
    counts = {end: float(7 + place) for place, end in enumerate(ends.tolist())}
    series = asked.live(counts)
    assert_sound(series, WINDOW, NOW)
    assert series.values.tolist() == [counts[at] for at in series.times.tolist()]
    assert len(series) >= 9


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    offset=st.floats(-300, 300),
    length=st.floats(0, 2000),
    step=st.sampled_from([1.0, 7.0, 30.0, 60.0, 300.0]),
)
def test_points_are_on_the_step_whatever_the_window(asked: Asked, offset: float, length: float, step: float) -> None:
    window = Window(NOW + offset - length, NOW + offset, step)
    counts = {float(at): 1.0 for at in window.aligned().grid()}
    asked.server.answer = lambda request: asked.described.says(request, counts)
    signal = a_signal(Kind.COUNT, step, **asked.described.query)
    series = asked.source.fetch(signal, window)
    assert_sound(series, window, max(NOW, window.start))


def test_what_has_not_settled_is_not_complete(asked: Asked) -> None:
    if not asked.described.settles:
        with pytest.raises(ValidationError):
            asked.options(settle=90)
        return
    asked.source = asked.make(settle=90)
    asked.server.answer = lambda request: asked.described.says(request, {NOW: 1.0})
    assert asked.ask().complete_until <= NOW - 90


def test_it_can_say_more_of_a_query(asked: Asked) -> None:
    assert isinstance(asked.source, Probes)
    asked.server.answer = lambda _request: Answer(503)
    with pytest.raises(ExternalError):
        asked.source.probe(asked.described.signal, NOW)


def test_its_options_and_queries_are_strict_and_described(asked: Asked) -> None:
    adapter = registry.adapter("sources", asked.kind)
    assert_strict(adapter.Options, {"url": asked.server.url} | SECRET_CONNECTION | dict(asked.described.options))
    assert_strict(adapter.Query, dict(asked.described.query))
    with pytest.raises(ValidationError):
        asked.options(unknown=1)
    with pytest.raises(ValidationError):
        adapter.Query.model_validate(dict(asked.described.query) | {"unknown": 1})
    stored = adapter.Query.model_validate(dict(asked.described.query)).model_dump(mode="json", exclude_unset=True)
    assert adapter.Query.model_validate(json.loads(json.dumps(stored))) is not None


def fuzz(asked: Asked, document: Any) -> None:
    asked.server.answer = lambda _request: Answer(
        200, {"content-type": "application/json"}, json.dumps(document).encode()
    )
    found = outcome(asked)
    if isinstance(found, ExternalError):
        assert found.fault in {Fault.MALFORMED, Fault.QUERY}
    else:
        assert_sound(found, WINDOW, NOW)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(document=anything)
def test_no_answer_makes_it_raise_anything_else(asked: Asked, document: Any) -> None:
    fuzz(asked, document)


GOOD = {
    "prometheus": {
        "status": "success",
        "warnings": [],
        "data": {"resultType": "matrix", "result": [{"metric": {"a": "b"}, "values": [[NOW - 60, "1"], [NOW, "2"]]}]},
    },
    "http_json": {"rows": [{"t": NOW - 60, "n": 1}, {"t": NOW, "n": 2}]},
}


@pytest.mark.parametrize("kind", [kind for kind, described in sorted(DESCRIBED.items()) if described.reads_json])
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_nearly_right_answer_makes_it_raise_anything_else(
    kind: str, server: FaultServer, data: st.DataObject
) -> None:
    fuzz(Asked(kind, server), data.draw(nearly(GOOD[kind])))

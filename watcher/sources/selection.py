"""What a signal may ask of metrics by name: the keys that `prometheus` and `openmetrics` share, and what they mean.

The `labels` of a signal say where to look (the target), the labels beside a counter say which of its events are meant.
So a counter none of whose series has the events' labels, while the metric itself is there, has counted none of them:
zero. A metric that is not there at all has not been measured: missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from watcher.errors import ExternalError, Fault
from watcher.model.service import Kind, Signal


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Regex = Annotated[str, AfterValidator(_regex)]
Aggregate = Literal["sum", "avg", "max", "min"]


class Pattern(BaseModel):
    """A label compared with regular expressions that match the whole value; a label that is not there is empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Regex | None = Field(default=None, description="The value must match.")
    no_match: Regex | None = Field(default=None, description="The value must not match.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.match is None and self.no_match is None:
            raise ValueError("expected match or no_match")
        return self


Labels = Mapping[LabelName, str | Pattern]


class Events(BaseModel):
    """A counter, and which of its events are meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    counter: MetricName = Field(description="Name of the counter, for example `http_requests_total`.")
    labels: Labels = Field(
        default_factory=dict, description="Label -> value, or `{match: REGEX}`, of the events meant."
    )


class Form(StrEnum):
    """The shapes that a query can have; each fits some kinds of signals."""

    RAW = "query"
    RAW_RATIO = "query and total_query"
    COUNTER = "counter"
    RATIO = "good or bad, and total"
    GAUGE = "gauge"
    HISTOGRAM = "histogram and quantile"


FITS: Mapping[Kind, frozenset[Form]] = {
    Kind.GAUGE: frozenset({Form.RAW, Form.GAUGE}),
    Kind.COUNT: frozenset({Form.RAW, Form.COUNTER}),
    Kind.RATE: frozenset({Form.RAW, Form.COUNTER}),
    Kind.RATIO: frozenset({Form.RAW, Form.RAW_RATIO, Form.RATIO}),
    Kind.LATENCY: frozenset({Form.RAW, Form.GAUGE, Form.HISTOGRAM}),
}


class Selection(BaseModel):
    """The keys of a signal that name metrics. Exactly one of the forms of `Form`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    counter: MetricName | Events | None = Field(
        default=None, description="Counter whose increments are the signal (kinds `count` and `rate`)."
    )
    good: MetricName | Events | None = Field(default=None, description="Counter of good events (kind `ratio`).")
    bad: MetricName | Events | None = Field(default=None, description="Counter of bad events (kind `ratio`).")
    total: MetricName | Events | None = Field(default=None, description="Counter of all events (kind `ratio`).")
    gauge: MetricName | None = Field(default=None, description="Gauge (kinds `gauge` and `latency`), averaged in time.")
    histogram: MetricName | None = Field(
        default=None, description="Classic histogram without its `_bucket` (kind `latency`)."
    )
    quantile: float | None = Field(default=None, gt=0, lt=1, description="Which quantile of `histogram`, such as 0.95.")
    labels: Labels = Field(
        default_factory=dict, description="Label -> value, or `{match: REGEX}`: which series, for every metric above."
    )
    aggregate: Aggregate | None = Field(
        default=None, description="How to make one of several series; without it several are an error."
    )
    absent: Literal["missing", "zero"] = Field(
        default="missing",
        description="What it means for a ratio that `good` or `bad` is not exposed at all while `total` is.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        self.form  # noqa: B018 -- raises ValueError
        return self

    @property
    def form(self) -> Form:
        """Which form this is; ValueError if none or several."""
        given = self._given()
        for form, keys in _KEYS.items():
            if given in keys:
                self._check_extras(form)
                return form
        expected = "; ".join(form for form in Form if self._offers(form))
        raise ValueError(f"expected exactly one of: {expected}")

    def _given(self) -> frozenset[str]:
        return frozenset(key for key in _FORM_KEYS if getattr(self, key, None) is not None)

    def _offers(self, form: Form) -> bool:
        return all(key in type(self).model_fields for key in next(iter(_KEYS[form])))

    def _check_extras(self, form: Form) -> None:
        raw = form in {Form.RAW, Form.RAW_RATIO}
        if raw and self.labels:
            raise ValueError("labels go with metric names, not with query")
        if self.aggregate and not raw and form is not Form.GAUGE:
            raise ValueError("aggregate goes with query or gauge; counters and histograms are summed")
        if self.absent != "missing" and form is not Form.RATIO:
            raise ValueError("absent goes with good or bad")


_KEYS: Mapping[Form, tuple[frozenset[str], ...]] = {
    Form.RAW: (frozenset({"query"}),),
    Form.RAW_RATIO: (frozenset({"query", "total_query"}),),
    Form.COUNTER: (frozenset({"counter"}),),
    Form.RATIO: (frozenset({"good", "total"}), frozenset({"bad", "total"})),
    Form.GAUGE: (frozenset({"gauge"}),),
    Form.HISTOGRAM: (frozenset({"histogram", "quantile"}),),
}
_FORM_KEYS = frozenset(key for variants in _KEYS.values() for keys in variants for key in keys)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series: `labels` say where, `events` which of them are meant."""

    name: str
    labels: Labels
    events: Labels

    def everywhere(self) -> Selector:
        """The same without the choice of events: what the target exposes if it exposes the metric at all."""
        return Selector(self.name, self.labels, {})

    def matchers(self) -> tuple[tuple[str, str, str], ...]:
        """`(label, operator, value)`, the operators as in PromQL, sorted."""
        found: list[tuple[str, str, str]] = []
        for labels in (self.labels, self.events):
            for label, wanted in labels.items():
                if isinstance(wanted, str):
                    found.append((label, "=", wanted))
                    continue
                found += [(label, "=~", wanted.match)] if wanted.match is not None else []
                found += [(label, "!~", wanted.no_match)] if wanted.no_match is not None else []
        return tuple(sorted(found))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(_holds(labels.get(label, ""), operator, value) for label, operator, value in self.matchers())

    def __str__(self) -> str:
        inside = ",".join(f"{label}{operator}{quoted(value)}" for label, operator, value in self.matchers())
        return f"{self.name}{{{inside}}}" if inside else self.name


def quoted(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _holds(value: str, operator: str, wanted: str) -> bool:
    if operator == "=":
        return value == wanted
    return (re.fullmatch(wanted, value) is not None) == (operator == "=~")


def selector(named: str | Events, labels: Labels, suffix: str = "") -> Selector:
    """The selector of a metric as a query names it."""
    if isinstance(named, Events):
        return Selector(named.counter + suffix, labels, named.labels)
    return Selector(named + suffix, labels, {})


def misfit(kind: Kind, query: Selection) -> str | None:
    """What is wrong with asking `query` for a signal of `kind`; None if it fits."""
    fits = [form for form in Form if form in FITS[kind] and query._offers(form)]  # noqa: SLF001 -- its own module
    return None if query.form in fits else f"kind {kind} expects {'; '.join(fits)}"


def refuse(signal: Signal, query: Selection) -> None:
    """Raises `ExternalError` (query, permanent) if `query` does not fit the signal's kind."""
    wrong = misfit(signal.kind, query)
    if wrong:
        raise ExternalError(f"signal {signal.name}: {wrong}", fault=Fault.QUERY, permanent=True, sent=False)

"""A signal's question to Prometheus, and how the questions of many services become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from watcher.sources import promql
from watcher.sources.selection import LabelName, Pattern, Selection

MEMBERS = "$members"  # in PromQL: a regular expression of the services that are asked for


class Member(BaseModel):
    """One service among those that a question asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: LabelName = Field(description="The label that tells the services apart.")
    value: str = Field(min_length=1, description="Its value for this service.")


class PrometheusQuery(Selection):
    """A signal's question to Prometheus: metrics by name, or raw PromQL."""

    query: str | None = Field(default=None, min_length=1, description="PromQL that gives one series.")
    total_query: str | None = Field(
        default=None, min_length=1, description="PromQL of a ratio's denominator; `query` is then its numerator."
    )
    member: Member | None = Field(
        default=None,
        description="Which of the services that one question asks for this is; a template fills it in. PromQL then "
        "gives one series a value of the label, and `$members` in it stands for the values asked for.",
    )


@dataclass(frozen=True, slots=True)
class Members:
    """Whose series an answer has: one a value of `label`; without a label there is but one series."""

    label: str | None
    values: tuple[str, ...]
    places: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {value: place for place, value in enumerate(self.values)})

    def place(self, labels: Mapping[str, str]) -> int | None:
        """Which of the values a series is of; None: of none that was asked for. LookupError: it does not say."""
        if self.label is None:
            return 0
        return self.places.get(labels[self.label])


def kin_of(query: PrometheusQuery) -> str:
    """The same for questions that differ in nothing but the value of their member."""
    return query.model_dump_json(exclude={"member": {"value"}})


def together(queries: Sequence[PrometheusQuery]) -> tuple[PrometheusQuery, Members]:
    """One question for all of `queries`, which are of one kin, and whose series its answer has."""
    query = queries[0]
    if query.member is None:
        return query, Members(None, ("",))
    label = query.member.label
    values = tuple(each.member.value for each in queries if each.member is not None)
    match = promql.alternatives(values)
    if query.query is None:
        choice = values[0] if len(values) == 1 else Pattern(match=match)
        return query.model_copy(update={"labels": {**query.labels, label: choice}}), Members(label, values)
    inside = match.replace("\\", "\\\\").replace('"', '\\"')  # it stands between quotes
    raw = {key: text.replace(MEMBERS, inside) for key, text in _raw(query).items()}
    return query.model_copy(update=raw), Members(label, values)


def _raw(query: PrometheusQuery) -> dict[str, str]:
    return {key: text for key in ("query", "total_query") if (text := getattr(query, key)) is not None}

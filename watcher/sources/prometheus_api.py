"""The HTTP API of Prometheus and its kin (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, SecretStr

from watcher.errors import ExternalError, Fault
from watcher.kit import http_dates
from watcher.kit.addresses import BaseUrl, quoted_answer
from watcher.kit.expressions import malformed
from watcher.kit.http import HttpStatusError, Polled
from watcher.kit.units import Duration
from watcher.model.series import Floats
from watcher.ports import Http

# The server refuses a range query with more than 11,000 steps.
MOST_POINTS = 11_000


class ApiOptions(Polled):
    """Where a Prometheus is and how it wants to be asked."""

    url: BaseUrl = Field(description="Address, with its path prefix: Mimir's ends in `/prometheus`.")
    tenant: str | None = Field(default=None, description="Tenant of Mimir or Cortex, sent as `X-Scope-OrgID`.")
    params: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Parameters added to every query, such as `dedup` or `max_source_resolution`."
    )
    settle: Duration = Field(
        default=0.0,
        ge=0,
        le=86400,
        description="Seconds until the newest data are final, beyond one scrape; VictoriaMetrics hides 30.",
    )
    scrape_interval: Duration | None = Field(
        default=None, gt=0, le=86400, description="Seconds between scrapes; found out from the data if not given."
    )
    dialect: Literal["prometheus", "victoriametrics"] = Field(
        default="prometheus", description="Whose `increase` it is; Mimir, Thanos and Cortex speak `prometheus`."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One series of an answer: shapes (n,)."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave.

    `partial`: the server says that something is missing from it; `lag`: seconds by which its clock is behind ours.
    """

    series: tuple[Found, ...]
    warnings: tuple[str, ...] = ()
    partial: bool = False
    lag: float = 0.0


class Api:
    """Asks queries; every failure is an `ExternalError`, one that lies in the query itself has the fault `query`."""

    def __init__(self, options: ApiOptions, http: Http) -> None:
        self._options = options
        self._http = http
        self._headers = {"x-scope-orgid": options.tenant} if options.tenant else {}

    def range(self, promql: str, start: float, end: float, step: float) -> Answer:
        """Values at `start`, `start + step`, ... `end`; at most `MOST_POINTS` of them."""
        form = {"query": promql, "start": _time(start), "end": _time(end), "step": _time(step)}
        return self._ask("query_range", form)

    def instant(self, promql: str, at: float) -> Answer:
        """The value at one time; a range selector gives the samples themselves."""
        return self._ask("query", {"query": promql, "time": _time(at)})

    def _ask(self, path: str, form: dict[str, str]) -> Answer:
        form |= {name: value.get_secret_value() for name, value in self._options.params.items()}
        try:
            answer = self._http.request("POST", f"{self._options.url}/api/v1/{path}", data=form, headers=self._headers)
        except HttpStatusError as error:
            raise self._refusal(error) or error from None
        return replace(_read(answer.json()), lag=http_dates.lag(answer.clock_behind))

    def _refusal(self, error: HttpStatusError) -> ExternalError | None:
        """The error of an answer that blames the query, in the server's own words."""
        if error.response.status not in {400, 422}:
            return None
        try:
            said = error.response.json()
        except ExternalError:
            return None
        if not isinstance(said, dict) or not isinstance(said.get("error"), str):
            return None
        text = quoted_answer(said["error"], self._options)
        return ExternalError(f"the query was refused: {text}", fault=Fault.QUERY, permanent=True)


def _read(answer: Any) -> Answer:
    data = answer.get("data") if isinstance(answer, dict) and answer.get("status") == "success" else None
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(result, list):
        raise malformed("not an answer of Prometheus")
    said = answer.get("warnings") or []
    warnings = tuple(text[:300] for text in said if isinstance(text, str)) if isinstance(said, list) else ()
    # Notes on the query itself come among the warnings, marked; all others say that a store or a shard failed.
    partial = answer.get("isPartial") is True or any(not text.startswith("PromQL ") for text in warnings)
    if data.get("resultType") == "scalar":
        result = [{"metric": {}, "value": result}]
    return Answer(tuple(map(_found, result)), warnings, partial)


def _found(item: Any) -> Found:
    try:
        labels = {str(name): str(value) for name, value in item.get("metric", {}).items()}
        pairs = item["values"] if "values" in item else [item["value"]] if "value" in item else []
        times = _times([pair[0] for pair in pairs])
        values = _values([pair[1] for pair in pairs])
    except (TypeError, ValueError, LookupError, AttributeError):
        raise malformed("a series that is none") from None
    if "histograms" in item or np.any(np.diff(times) <= 0):
        raise malformed("a series that is not one of numbers in the order of time")
    return Found(labels, times, values)


def _times(moments: list[Any]) -> Floats:
    times = np.array(moments, dtype=np.float64) if set(map(type, moments)) <= {int, float} else None
    if times is None or not np.isfinite(times).all():
        raise TypeError
    return times


def _values(texts: list[Any]) -> Floats:
    """Values are texts (`"NaN"`, `"+Inf"`), so that JSON can carry them."""
    if not set(map(type, texts)) <= {str} or "_" in "".join(texts):
        raise TypeError
    return np.array(list(map(float, texts)), dtype=np.float64)


def _time(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")

"""What one scrape adds to a stream: pure. States are JSON, for they are remembered between scrapes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.kit.exposition import Exposition, Sample
from watcher.ports import Point
from watcher.sources.buckets import Tally, advance, bucket_end, increment
from watcher.sources.streams import Stream, What, aggregated


def sampled(
    wanted: Iterable[Stream], scrape: Exposition, before: Mapping[str, Any], now: float, limit: float
) -> tuple[dict[str, list[Point]], dict[str, Any]]:
    """The points of the buckets that ended with this scrape, and the streams' states after it, both by stream name.

    Args:
        wanted: the streams to be kept.
        scrape: what the target exposes at `now`.
        before: the states after the scrape before.
        now: time of the scrape.
        limit: seconds between scrapes beyond which there is a gap.
    """
    by_name: dict[str, list[Sample]] = {}
    for sample in scrape.samples:
        if math.isfinite(sample.value):
            by_name.setdefault(sample.name, []).append(sample)
    points: dict[str, list[Point]] = {}
    states: dict[str, Any] = {}
    for stream in wanted:
        state = before.get(stream.name)
        samples = by_name.get(stream.wanted.name, [])
        if not stream.is_there(scrape, samples):
            states |= {} if state is None else {stream.name: state}
            continue
        samples = [sample for sample in samples if stream.takes(sample.labels)]
        if stream.what is What.GAUGE:
            taken = _level(stream, state, now, [sample.value for sample in samples])
        else:
            born = {_series(sample.labels): sample.value for sample in by_name.get(stream.created, [])}
            taken = _counted(stream, state, now, samples, born, limit)
        points[stream.name], states[stream.name] = taken
    return points, states


def _counted(
    stream: Stream, state: Any, now: float, samples: Sequence[Sample], born: Mapping[str, float], limit: float
) -> tuple[list[Point], Any]:
    raw = {_series(sample.labels): sample.value for sample in samples}
    if state is None or state["at"] >= now:
        return [], {"at": now, "since": now, "amounts": {}, "raw": raw}
    amounts: dict[str, float] = {} if stream.what is What.HISTOGRAM else {"": 0.0}
    for sample in samples:
        # Only a series known to be new counted from zero; any other may have counted long before it was first seen.
        new = born.get(_series(sample.labels, "le"), -math.inf) > state["at"]
        start = state["raw"].get(_series(sample.labels), 0.0 if new else sample.value)
        key = stream.key(sample.labels)
        amounts[key] = amounts.get(key, 0.0) + increment(start, sample.value)
    tally = Tally(state["at"], state["since"], state["amounts"])
    ended = advance(tally, now, amounts, stream.step, limit)
    whole = (bucket for bucket in ended if bucket.whole)
    points = [Point(bucket.end, amount, key) for bucket in whole for key, amount in bucket.amounts.items()]
    return points, {"at": tally.at, "since": tally.since, "amounts": tally.amounts, "raw": raw}


def _level(stream: Stream, state: Any, now: float, values: Sequence[float]) -> tuple[list[Point], Any]:
    """A gauge's mean over the scrapes of a bucket; nothing where a scrape does not say one value."""
    end = bucket_end(now, stream.step)
    total, count = (state["total"], state["count"]) if state else (0.0, 0)
    points = []
    if state and state["end"] != end:
        points += [Point(state["end"], total / count)] if count else []
        total, count = 0.0, 0
    if values and (stream.aggregate or len(values) == 1):
        total, count = total + aggregated(values, stream.aggregate), count + 1
        points += [Point(end, total / count)] if now >= end else []
    return points, {"end": end, "total": total, "count": count, "series": len(values)}


def _series(labels: Mapping[str, str], without: str = "") -> str:
    """A short name of the series with `labels`, always the same."""
    text = repr(sorted((name, value) for name, value in labels.items() if name != without))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

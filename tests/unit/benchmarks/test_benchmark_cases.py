"""The cases of the detection benchmark hold the harm that they are said to hold, and nothing else."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import faults, real
from benchmarks.detection.cases import Case, harmed, shape_of
from benchmarks.detection.low_traffic import CENTRE_LOOKS, Centre
from benchmarks.detection.streams import LOOKS, STREAMS
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

_LOOKS = 60


def _case(kind: Kind, harm: Harm = Harm.DOWN) -> Case:
    values = np.random.default_rng(1).poisson(200, 1500).astype(np.float64)
    values[1470] = np.nan
    return Case("x", kind, harm, np.arange(60.0, 60.0 * 1501, 60.0), values, 1440, _LOOKS, 60.0)


@pytest.mark.parametrize(("label", "change"), [("step", -0.5), ("ramp", -0.5), ("late", 0.5), ("spike", 1.0)])
@pytest.mark.parametrize("kind", [Kind.COUNT, Kind.LATENCY])
def test_harm_has_its_shape_and_size_and_leaves_the_past_alone(kind: Kind, label: str, change: float) -> None:
    case = _case(kind)
    moved = harmed(case, change, label, np.random.default_rng(2))
    shape, onset = shape_of(label, _LOOKS)
    assert np.array_equal(moved.values[:1440], case.values[:1440])
    assert np.array_equal(np.isnan(moved.values), np.isnan(case.values))
    assert moved.onset == onset
    assert not shape[:onset].any()
    assert shape[onset] > 0
    seen = np.nanmean(moved.values[1440:] / case.values[1440:] - 1 - change * shape)
    assert seen == pytest.approx(0.0, abs=0.02)
    if kind is Kind.COUNT:
        assert np.all(np.nan_to_num(moved.values) % 1 == 0)


def test_shapes_differ_as_they_are_named() -> None:
    ramp, late, spike = (shape_of(label, _LOOKS)[0] for label in ("ramp", "late", "spike"))
    assert ramp[0] < ramp[15] < ramp[29] == ramp[-1] == 1.0
    assert late[:20].sum() == 0
    assert late[20:].min() == 1.0
    assert 2 <= spike.sum() <= 4


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_what_is_drawn_to_follow_a_history_has_the_streams_law(stream: object) -> None:
    from benchmarks.detection.streams import Stream

    assert isinstance(stream, Stream)
    rng = np.random.default_rng(3)
    drawn = stream.draw(rng, (4000, LOOKS), 0.0, last=stream.mean * 1.2)
    whole = stream.draw(rng, (4000, LOOKS), 0.0)
    scale = stream.trials or 1
    assert drawn[:, -1].mean() == pytest.approx(stream.mean * scale, rel=0.05)
    assert drawn[:, -1].std() == pytest.approx(whole[:, -1].std(), rel=0.1)
    if stream.rho:
        assert drawn[:, 0].mean() == pytest.approx(stream.mean * (1 + 0.2 * stream.rho), rel=0.02)


@pytest.mark.parametrize("any_hour", [False, True])
def test_the_call_centre_is_closed_when_it_says(any_hour: bool) -> None:
    for seed in range(20):
        case = Centre(0.4, any_hour)(np.random.default_rng(seed))
        hour = (case.times - 150) % 86400 / 3600
        weekday = ((case.times - 150) // 86400 + 3) % 7
        is_open = (hour > 8) & (hour < 20) & (weekday < 5)
        assert not case.values[~is_open].any()
        assert np.median(case.values[is_open]) > 100
        assert case.looks == CENTRE_LOOKS
        assert len(case.values) == case.first + case.looks
        if not any_hour:
            assert is_open[case.first]


def _write(folder: Path, name: str, values: Floats, start: int, **entry: object) -> dict[str, object]:
    rows = [f"{start + 60 * place},{value:.12g}" for place, value in enumerate(values)]
    (folder / f"{name}.csv").write_text("\n".join(["timestamp,value", *rows]))
    return {"id": name, "file": f"{name}.csv", "step_seconds": 60, "labels": [], **entry}


def _recording(tmp_path: Path) -> real.Recording:
    values = np.random.default_rng(4).poisson(50, 4000)
    labels = [{"type": "anomaly", "start": 60 * 3000, "end": 60 * 3030}]
    entry = _write(tmp_path, "one", values.astype(np.float64), 0, kind="count", labels=labels)
    (tmp_path / "index.json").write_text(json.dumps({"series": [entry]}))
    return next(real.recordings(tmp_path, held=None))


def test_placebos_keep_off_what_is_labelled_and_off_each_other(tmp_path: Path) -> None:
    cases = real.placebos(_recording(tmp_path), 1.0, 60, 100, np.random.default_rng(5))
    spans = sorted((case.deploy, float(case.times[-1])) for case in cases)
    assert len(spans) > 20
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert all(end < 60 * 3000 - 3600 or begin > 60 * 3030 + 3600 for begin, end in spans)


def test_a_labelled_change_is_the_first_bucket_of_its_watch(tmp_path: Path) -> None:
    (case,) = real.labelled(_recording(tmp_path), 1.0, 60)
    assert float(case.times[case.first]) == 60 * 3000
    assert case.harm is Harm.EITHER
    assert np.isnan(case.change)


def _run(tmp_path: Path) -> faults.Service:
    rng = np.random.default_rng(6)
    at = [60 * 100 + 25, 60 * 110 + 25]
    latency, load = rng.normal(1.0, 0.1, 400), rng.normal(5, 0.5, 400)
    latency[101:106] = 3.0
    load[300:] = 0.0
    series = [
        _write(
            tmp_path, f"day__shop__{metric}", values, 0, kind="rate",
            labels=[{"type": "fault", "start": each, "inject_type": "slow", "target": "shop-1"} for each in at],
        )
        for metric, values in (("PodServerLatencyP95", latency), ("PodWorkload", load))
    ]  # fmt: skip
    (tmp_path / "index.json").write_text(json.dumps({"series": series}))
    return next(iter(faults.services(tmp_path)))


def test_a_faults_history_is_the_fault_free_part_with_load_and_the_half_hour_before(tmp_path: Path) -> None:
    service = _run(tmp_path)
    assert (service.quiet.start, service.quiet.stop) == (119, 300)
    first, second = faults.faults(service)
    assert first.values[first.first : first.first + 3] == pytest.approx(3.0)
    assert first.values[: first.first].max() < 2.0
    assert len(first.values) == 181 + faults.LEAD + faults.LOOKS
    assert np.isnan(second.values).sum() == 8  # the first fault is left out of the half hour before the second
    assert [case.kind for case in second.watched] == [Kind.LATENCY, Kind.RATE]
    assert np.all(np.diff(first.times) == 60)


def test_placebos_of_a_run_hold_no_minute_twice(tmp_path: Path) -> None:
    service = _run(tmp_path)
    cases = faults.placebos(service, 100, np.random.default_rng(7))
    assert len(cases) > 15
    for case in cases:
        known = case.values[~np.isnan(case.values)]
        assert len(np.unique(known)) == len(known)
        assert known.max() < 2.0


def test_real_and_faulty_sets_are_told_apart(tmp_path: Path) -> None:
    _run(tmp_path)
    assert not list(real.recordings(tmp_path, held=None))

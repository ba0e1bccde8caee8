"""The peers' rules do on hand-made cases what the peers' documentation says they do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.detection import otava, peers, ranks, thresholds
from benchmarks.detection.cases import Case
from benchmarks.detection.views import Rule, View, judged, views
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind


def _view(after: Floats, before: Floats | None = None) -> View:
    quiet = np.random.default_rng(3).normal(100, 10, 1440) if before is None else before
    return View(quiet, after, 60.0)


def _noise(size: int, mean: float, seed: int = 4) -> Floats:
    return np.random.default_rng(seed).normal(mean, 10, size)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_rank_sum_is_that_of_scipy(shift: float) -> None:
    now, before = np.round(_noise(30, 104)), np.round(_noise(40, 100, seed=5))
    wanted = stats.mannwhitneyu(now - shift, before, alternative="greater", method="asymptotic").pvalue
    assert stats.norm.sf(ranks.rank_sum_z(now, before, shift)) == pytest.approx(wanted, rel=1e-6)


def test_kayenta_passes_what_is_equal_and_flags_what_is_apart() -> None:
    before = np.full(60, 7.0)
    assert ranks.kayenta_at(_view(np.full(20, 7.0), before), 20) == 0.0
    assert ranks.kayenta_at(_view(_noise(60, 100)), 60) < ranks.KAYENTA
    assert ranks.kayenta_at(_view(_noise(60, 120)), 60) >= ranks.KAYENTA
    assert ranks.kayenta_at(_view(_noise(60, 80)), 60) == 0.0  # not the harmful direction


def test_kayenta_has_no_smallest_sample_but_its_interval_is_clipped() -> None:
    # Five points against three are too few for z = 2.326; fully apart, the clipped interval is high all the same.
    view = _view(np.array([9.0, 9.1, 9.2, 9.3, 9.4]), np.array([1.0, 1.1, 1.2]))
    assert ranks.kayenta_at(view, 5) >= ranks.KAYENTA


def test_kayenta_at_the_end_says_nothing_before() -> None:
    scores = ranks.kayenta_end(_view(_noise(30, 150)))
    assert scores[-1] >= ranks.KAYENTA
    assert not scores[:-1].any()


def test_mann_whitney_says_nothing_of_less_than_a_tenth() -> None:
    assert not ranks.mann_whitney(_view(np.full(60, 108.0))).any()
    assert ranks.mann_whitney(_view(_noise(60, 125)))[-1] > 2.0


def test_flagger_counts_failures_over_the_whole_analysis_and_acts_a_tick_later() -> None:
    after = np.full(40, 100.0)
    after[[2, 9, 15, 22, 30]] = 200.0
    alarmed = thresholds.flagger(_view(after)) > 1.0
    assert np.flatnonzero(alarmed)[0] == 31


def test_flagger_takes_a_missing_value_for_a_failure() -> None:
    after = np.full(20, 100.0)
    after[:5] = np.nan
    assert np.flatnonzero(thresholds.flagger(_view(after)) > 1.0)[0] == 5


def test_argo_needs_one_more_failure_than_its_limit() -> None:
    after = np.full(20, 100.0)
    after[[1, 5, 9]] = 130.0
    assert not (thresholds.argo(_view(after)) >= thresholds.ARGO_WORSE).any()
    after[13] = 130.0
    assert np.flatnonzero(thresholds.argo(_view(after)) >= thresholds.ARGO_WORSE)[0] == 13


def test_argo_aborts_when_five_queries_in_a_row_have_no_value() -> None:
    after = np.full(20, 100.0)
    after[[3, 4, 5, 6, 8, 9]] = np.nan
    assert not (thresholds.argo(_view(after)) >= thresholds.ARGO_WORSE).any()
    after[7] = np.nan
    assert np.flatnonzero(thresholds.argo(_view(after)) >= thresholds.ARGO_WORSE)[0] == 7


@pytest.mark.parametrize(
    "rule", [each for each in peers.peers() if each.name != "Otava"], ids=lambda rule: rule.name.split(",")[0]
)
def test_every_rule_sees_what_anybody_would_and_bears_what_is_missing(rule: Rule) -> None:
    after = _noise(60, 100) * 4
    after[[7, 8]] = np.nan
    case = Case("x", Kind.GAUGE, Harm.UP, np.arange(1500.0), np.concatenate([_noise(1440, 100), after]), 1440, 60, 60.0)
    scores = judged(rule, case)
    assert scores.shape == (60,)
    assert np.all(np.diff(scores) >= 0)
    assert scores[-1] >= rule.default
    empty = Case("x", Kind.GAUGE, Harm.UP, np.arange(1500.0), np.full(1500, np.nan), 1440, 60, 60.0)
    assert np.all(np.isfinite(judged(rule, empty)))


def test_a_rule_is_shown_each_signal_and_direction_so_that_harm_is_up() -> None:
    times = np.arange(100.0)
    one = Case("x", Kind.GAUGE, Harm.EITHER, times, times, 80, 20, 60.0)
    both = Case("x", Kind.GAUGE, Harm.DOWN, times, times, 80, 20, 60.0, beside=(one,))
    assert [view.after[0] for view in views(both)] == [-80.0, 80.0, -80.0]


def test_rules_that_know_no_control_are_given_the_quotient() -> None:
    times = np.arange(100.0)
    case = Case("x", Kind.COUNT, Harm.UP, times, times * 3, 80, 20, 60.0, control=times)
    assert set(views(case)[0].after) == {3.0}


def test_an_environment_that_cannot_be_made_is_said_why(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder is to be")
    why = otava.install(tmp_path / "taken")
    assert why is not None
    assert "taken" in why
    assert not otava.is_installed(tmp_path / "taken")


def test_a_confidence_sequence_at_one_per_cent_is_growthbooks_formula() -> None:
    before, now = _noise(60, 100), _noise(20, 125, seed=9)
    score = peers.confidence_sequence(_view(now, before))[-1]
    n, alpha = 80, 10.0**-score
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / 5000)
    root = math.sqrt(n * rho**2 + 1)
    error = math.sqrt(now.var(ddof=1) / 20 + before.var(ddof=1) / 60)
    half = error * math.sqrt(n) * math.sqrt(2 * root**2 / (n * rho) ** 2 * math.log(root / alpha))
    assert now.mean() - before.mean() > half

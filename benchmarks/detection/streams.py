"""Textbook streams, whose law is known, and the best that anybody could do on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal as filters
from scipy import stats

from benchmarks.detection.cases import PROBABILITY, Case, Maker
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind

START = 1_699_920_000.0  # Tuesday, 00:00 UTC
LOOKS = 60
DAYS = 5


@dataclass(frozen=True, slots=True)
class Stream:
    """A law, and the relative harms that make it interesting."""

    name: str
    kind: Kind
    harm: Harm
    changes: tuple[float, ...]
    mean: float
    spread: float = 0.0
    rho: float = 0.0
    trials: int = 0

    @property
    def is_normal(self) -> bool:
        return self.kind is Kind.GAUGE

    def draw(
        self, rng: np.random.Generator, shape: tuple[int, ...], change: float, last: float | None = None
    ) -> Floats:
        """Values of that shape, the last LOOKS of the last axis changed; they follow on the value `last`."""
        factor = np.ones(shape[-1])
        factor[-LOOKS:] += change
        if self.is_normal:
            noise = rng.standard_normal(shape)
            if self.rho:
                start = rng.standard_normal(shape[:-1]) if last is None else (last / self.mean - 1) / self.spread
                begun = self.rho * np.broadcast_to(start, shape[:-1])[..., None]
                noise = filters.lfilter(
                    [np.sqrt(1 - self.rho**2)], [1, -self.rho], noise, axis=-1, zi=begun.astype(np.float64)
                )[0]
            return np.asarray(self.mean * factor + self.mean * self.spread * noise)
        if self.trials:
            return rng.binomial(self.trials, self.mean * factor, shape).astype(np.float64)
        rate = self.mean * factor
        if self.spread:
            rate = rate * rng.gamma(1 / self.spread, self.spread, shape)
        return rng.poisson(rate, shape).astype(np.float64)

    def maker(self, change: float) -> Maker:
        def make(rng: np.random.Generator) -> Case:
            return self.case(self.draw(rng, (DAYS * 1440 + LOOKS,), change), change)

        return make

    def case(self, values: Floats, change: float) -> Case:
        """A watch of the last LOOKS of one-minute values, shape (n,)."""
        size = len(values)
        times: Floats = START + 60.0 * np.arange(1, size + 1, dtype=np.float64)
        totals = np.full(size, float(self.trials)) if self.trials else None
        return Case(
            self.name, self.kind, self.harm, times, values, size - LOOKS, LOOKS, 60.0, totals,
            change=change, label="step",
        )  # fmt: skip

    def increments(self, values: Floats, change: float) -> Floats:
        """Log-likelihood ratio of harm from the first look on against none, look by look, shape (..., looks).

        `values`, shape (..., 1 + looks), begin with the last one before the deploy: known, and not harmed.
        """
        if self.is_normal:
            off = (values / self.mean - 1) / self.spread
            innovations = (off[..., 1:] - self.rho * off[..., :-1]) / np.sqrt(1 - self.rho**2)
            news = self.news(change, innovations.shape[-1])
            return np.asarray(innovations * news - news**2 / 2)
        after = values[..., 1:]
        one, two = self.mean, self.mean * (1 + change)
        if self.trials:
            return np.asarray(after * np.log(two / one) + (self.trials - after) * np.log((1 - two) / (1 - one)))
        if not self.spread:
            return np.asarray(after * np.log(two / one) - (two - one))
        size = 1 / self.spread
        return np.asarray(
            stats.nbinom.logpmf(after, size, size / (size + two))
            - stats.nbinom.logpmf(after, size, size / (size + one))
        )

    def news(self, change: float, looks: int = LOOKS) -> Floats:
        """How far a harm moves each innovation of a normal stream, in the innovations' s.d., shape (looks,).

        The value before the deploy holds no harm, so the first innovation takes all of it; of each later one, the
        value before it explains the share `rho`.
        """
        shift = np.full(looks, change / self.spread)
        shift[1:] *= 1 - self.rho
        return np.asarray(shift / np.sqrt(1 - self.rho**2))

    def best(self, change: float, rng: np.random.Generator, draws: int = 20_000) -> tuple[float, float, float]:
        """Share found, mean delay (cut at the window) and the fixed-d bound, at 1 % over the window.

        The best sequential test knows the law, the change, that it begins with the deploy, and the last value before.
        """
        quiet, moved = (
            np.cumsum(self.increments(self.draw(rng, (draws, 1 + LOOKS), each), change), axis=1)
            for each in (0.0, change)
        )
        bar = float(np.quantile(quiet.max(axis=1), 1 - PROBABILITY))
        alarmed = np.maximum.accumulate(moved, axis=1) > bar
        delay = np.where(alarmed.any(axis=1), alarmed.argmax(axis=1) + 1, LOOKS)
        return float(alarmed[:, -1].mean()), float(delay.mean()), power(quiet[:, -1], moved[:, -1])


def power(quiet: Floats, moved: Floats) -> float:
    """Share of `moved` called by the test of `quiet` that calls exactly 1 % of those, shape (draws,) each.

    Where many are equal, as sums of few events are, those at the line are called by lot: without it the test has less
    than its 1 %, and is no bound. Source: Neyman and Pearson (1933).
    """
    quiet, moved = np.round(quiet, 9), np.round(moved, 9)  # equal sums differ by their order of adding
    bar = np.quantile(quiet, 1 - PROBABILITY, method="higher")
    lot = (PROBABILITY - np.mean(quiet > bar)) / np.mean(quiet == bar)
    return float(np.mean(moved > bar) + lot * np.mean(moved == bar))


STREAMS = (
    Stream("normal", Kind.GAUGE, Harm.DOWN, (-0.03, -0.04, -0.05, -0.07, -0.1), 100.0, 0.1),
    Stream("ar(0.5)", Kind.GAUGE, Harm.DOWN, (-0.05, -0.07, -0.09, -0.12), 100.0, 0.1, 0.5),
    Stream("ar(0.8)", Kind.GAUGE, Harm.DOWN, (-0.08, -0.12, -0.16, -0.2), 100.0, 0.1, 0.8),
    Stream("poisson(20)", Kind.COUNT, Harm.DOWN, (-0.08, -0.1, -0.13, -0.2), 20.0),
    Stream("poisson(1)", Kind.COUNT, Harm.UP, (0.4, 0.5, 0.7, 1.0), 1.0),
    Stream("negative binomial", Kind.COUNT, Harm.DOWN, (-0.1, -0.13, -0.18, -0.25), 50.0, 0.06),
    Stream("binomial", Kind.RATIO, Harm.UP, (0.4, 0.6, 0.8, 1.2), 0.02, trials=50),
)
TICKETS = (
    Stream("tickets 0.2 a minute", Kind.COUNT, Harm.UP, (1.0, 2.0, 4.0), 0.2),
    Stream("tickets 0.05 a minute", Kind.COUNT, Harm.UP, (2.0, 4.0, 9.0), 0.05),
)

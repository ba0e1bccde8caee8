"""What the shop's users do, as a seeded random process: one law for the past that is written to the history file and
for the present that is scraped, so that the two continue each other. A version of the shop is a change of that law.

The shop lives in fast motion: one of its seconds holds what a minute holds in a shop of 250 sessions a minute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

SESSIONS_PER_SECOND = 250.0
CONVERSION = 0.12  # share of sessions that end in an order
NEW_VISITORS = 0.7  # share of sessions by people who were not here before
REQUESTS_PER_SESSION = 4.0
ERROR_SHARE = 0.02  # of requests
MEDIAN_LATENCY = 0.12  # seconds
LATENCY_SPREAD = 0.5  # standard deviation of the logarithm
QUESTIONS_PER_SECOND = 0.25  # ordinary tickets
WRITING_TIME = 2.0  # mean seconds from a failed checkout to the ticket about it
# What wanders by itself: standard deviation of the logarithm, and seconds until it is forgotten.
WANDERING = MappingProxyType({"demand": (0.04, 120.0), "conversion": (0.02, 120.0), "latency": (0.05, 6.0)})

# Upper bounds of the latency histogram, seconds; +Inf follows.
BOUNDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0, 2.5)
# What a request in each bucket took, for the histogram's sum: the middle, and a guess for the open end.
_MIDDLES = np.array([(low + high) / 2 for low, high in zip((0.0, *BOUNDS), (*BOUNDS, 5.0), strict=True)])

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a version does to users: factors on the normal law; `complaints` are tickets about the checkout a second."""

    conversion: float = 1.0
    errors: float = 1.0
    latency: float = 1.0
    complaints: float = 0.12


# v3 loses three orders in eight, about eleven a second; one of those customers in fourteen writes to support.
VERSIONS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "v1": Behaviour(),
        "v2": Behaviour(),
        "v3": Behaviour(conversion=0.62, errors=1.35, latency=1.12, complaints=0.8),
    }
)


@dataclass(frozen=True, slots=True)
class Tick:
    """What happened in one span of time. `requests` has one count for each latency bucket, shape (len(BOUNDS) + 1,)."""

    visitors: int
    sessions: int
    orders: int
    requests: Counts
    errors: int
    seconds_spent: float
    questions: int
    complaints: int


class Traffic:
    """Draws ticks. Not safe to use from several threads."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._astray = {name: spread * self._random.standard_normal() for name, (spread, _) in WANDERING.items()}

    def tick(self, start: float, seconds: float, behaviour: Behaviour) -> Tick:
        """What `behaviour` makes of the span of `seconds` that begins at `start` (unix seconds)."""
        draw = self._random
        factor = self._wander(seconds)
        sessions = int(draw.poisson(SESSIONS_PER_SECOND * wave(start) * factor["demand"] * seconds))
        hits = int(draw.poisson(sessions * REQUESTS_PER_SESSION))
        requests = draw.multinomial(hits, _shares(MEDIAN_LATENCY * behaviour.latency * factor["latency"]))
        return Tick(
            visitors=int(draw.binomial(sessions, NEW_VISITORS)),
            sessions=sessions,
            orders=int(draw.binomial(sessions, CONVERSION * behaviour.conversion * factor["conversion"])),
            requests=requests,
            errors=int(draw.binomial(hits, ERROR_SHARE * behaviour.errors)),
            seconds_spent=float(requests @ _MIDDLES),
            questions=int(draw.poisson(QUESTIONS_PER_SECOND * seconds)),
            complaints=int(draw.poisson(behaviour.complaints * seconds)),
        )

    def _wander(self, seconds: float) -> dict[str, float]:
        """Ornstein-Uhlenbeck steps, exact for any length, so that short ticks and long ones obey one law."""
        for name, (spread, memory) in WANDERING.items():
            kept = math.exp(-seconds / memory)
            news = spread * math.sqrt(1 - kept * kept) * self._random.standard_normal()
            self._astray[name] = kept * self._astray[name] + news
        return {name: math.exp(astray) for name, astray in self._astray.items()}

    def delay(self) -> float:
        """Seconds that a customer takes to write a ticket."""
        return float(self._random.exponential(WRITING_TIME))

    def pick(self, choices: int) -> int:
        """One of `choices`, each as likely."""
        return int(self._random.integers(choices))

    def moment(self, start: float, seconds: float) -> float:
        """Some moment of the span."""
        return start + float(self._random.random()) * seconds


def wave(at: float) -> float:
    """The slow swing of demand around 1: a known function of the time, so that past and present agree."""
    return 1.0 + 0.15 * math.sin(at * math.tau / 5400) + 0.05 * math.sin(at * math.tau / 700)


def _shares(median: float) -> NDArray[np.float64]:
    """Probability of each latency bucket under a log-normal law."""
    below = [0.5 * math.erfc(math.log(median / bound) / (LATENCY_SPREAD * math.sqrt(2))) for bound in BOUNDS]
    return np.diff(np.array([0.0, *below, 1.0]))

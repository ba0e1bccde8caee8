"""What a look rested on, so that its decision can be computed once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What a look knew of one signal.

    Attributes:
        complete_until: unix seconds; `points` stored points are no later.
        partial: the source had said that its answer was incomplete.
        totals: whether denominators were there.
    """

    complete_until: float
    points: int
    partial: bool
    totals: bool


Neighbour = tuple[str, str, float, float | None]  # service, version, when its rollout started and finished


@dataclass(frozen=True, slots=True)
class Record:
    """Everything beside the points, which are stored once for all looks. What is None was not recorded in its time.

    Attributes:
        calibration: digest of the calibration's bytes.
        signals: signal name -> what was known of it; absent: its source had not answered yet.
        last_look, last_ticket_look: whether the look ended a window.
        neighbours: the other deploys to the environment that the decision was given; their rows may change later.
        decided: the decision's signals.
        version: of the product, by whose words the decision's sentence was made.
    """

    calibration: str
    signals: Mapping[str, Known]
    last_look: bool
    last_ticket_look: bool
    neighbours: tuple[Neighbour, ...] | None = None
    decided: tuple[str, ...] | None = None
    version: str | None = None

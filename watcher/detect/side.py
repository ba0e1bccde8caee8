"""Which side of a share is judged: the rarer one. Of 99.9 % good a loss of the good says nothing, the bad tell all.

Bad events are what scatters, like any rare events, and what harm multiplies: four times as many of one in a thousand
are a loss of 0.3 % of the good. So a share above a half is judged by what it leaves out, and told as it was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.window import Grid
from watcher.model.series import Floats
from watcher.model.service import Harm, Kind, Signal

HALF = 0.5
FINEST = 1e-4  # of a quotient that leaves out less, a change is one of this
BEYOND = 0.05  # of what is left out: so much may be counted beyond the totals, as of late points
_OTHER = {Harm.UP: Harm.DOWN, Harm.DOWN: Harm.UP, Harm.EITHER: Harm.EITHER}


@dataclass(frozen=True, slots=True)
class Side:
    """What is judged of a signal.

    Attributes:
        odds: of a share above a half: how many of those that it counts come to each that it leaves out; else None.
        turned: whether what it leaves out is judged.
    """

    odds: float | None = None
    turned: bool = False

    def judged(self, grid: Grid) -> Grid:
        """The measured grid as it is judged."""
        if not self.turned or grid.totals is None:
            return grid
        return replace(grid, values=np.maximum(grid.totals - grid.values, 0.0))

    @property
    def sign(self) -> float:
        """-1 if what is judged falls when what is measured rises, else 1."""
        return -1.0 if self.turned else 1.0

    def harm(self, harm: Harm) -> Harm:
        """The direction that hurts, of what is judged."""
        return _OTHER[harm] if self.turned else harm

    def change(self, relative: float) -> float:
        """A relative change of what is judged as one of what is measured, at the usual share."""
        return -self.small(relative) if self.turned else relative

    def size(self, relative: float) -> float:
        """A relative change of what is measured as one of what is judged, both without their signs."""
        return relative * (self.odds or 1.0) if self.turned else relative

    def small(self, relative: float) -> float:
        """A relative change of what a share above a half leaves out as one of the share, both without their signs."""
        return relative / (self.odds or 1.0)

    def is_of_rest(self, signal: Signal) -> bool:
        """Whether `min_effect` is a change of what the share leaves out.

        What people set is one of the share that they see; what nobody has set is the same for both ways to write it.
        """
        return signal.default_effect and self.odds is not None

    def least(self, signal: Signal) -> float:
        """The relative change of what is judged below which there is no harm, at the usual share."""
        if not self.is_of_rest(signal):
            return self.size(signal.min_effect)
        return signal.min_effect if self.turned else self.small(signal.min_effect)


def side_of(grid: Grid, kind: Kind) -> Side:
    """The rarer side of a ratio with totals; anything else is judged as it is.

    So is what counts more than its totals now and then: it is no part of them, and nothing is what it leaves out. Of a
    quotient without totals both sides are judged alike, as all of its scatter is in either.
    """
    if kind is not Kind.RATIO:
        return Side()
    if grid.totals is None:
        return _of_quotient(grid.values[np.isfinite(grid.values)])
    known = np.isfinite(grid.values) & np.isfinite(grid.totals)
    rest = grid.totals[known] - grid.values[known]
    total, left, beyond = float(grid.totals[known].sum()), float(rest[rest > 0].sum()), float(-rest[rest < 0].sum())
    if total <= 0 or left >= HALF * total or beyond > BEYOND * left:
        return Side()
    # Half an event at least: what never happened yet may happen.
    return Side((total - left) / max(left, HALF), turned=True)


def _of_quotient(values: Floats) -> Side:
    if not len(values) or values.min() < 0 or values.max() > 1:
        return Side()
    share = float(values.mean())
    return Side(share / max(1 - share, FINEST)) if share > HALF else Side()

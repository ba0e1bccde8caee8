"""Which side of a share is judged: the rarer one. Of 99.9 % good a loss of the good says nothing, the bad tell all.

Bad events are what scatters, like any rare events, and what harm multiplies: four times as many of one in a thousand
are a loss of 0.3 % of the good. So a share above a half is judged by what it leaves out, and told as it was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.window import Grid
from watcher.model.service import Harm, Kind, Signal

HALF = 0.5
BEYOND = 0.05  # of what is left out: so much may be counted beyond the totals, as of late points
_OTHER = {Harm.UP: Harm.DOWN, Harm.DOWN: Harm.UP, Harm.EITHER: Harm.EITHER}


@dataclass(frozen=True, slots=True)
class Side:
    """What is judged of a signal.

    Attributes:
        odds: how many of those that a share counts come to each that it leaves out, if those are judged; None: what was
            measured is judged as it is.
    """

    odds: float | None = None

    def judged(self, grid: Grid) -> Grid:
        """The measured grid as it is judged."""
        if self.odds is None or grid.totals is None:
            return grid
        return replace(grid, values=np.maximum(grid.totals - grid.values, 0.0))

    @property
    def sign(self) -> float:
        """-1 if what is judged falls when what is measured rises, else 1."""
        return 1.0 if self.odds is None else -1.0

    def harm(self, harm: Harm) -> Harm:
        """The direction that hurts, of what is judged."""
        return harm if self.odds is None else _OTHER[harm]

    def change(self, relative: float) -> float:
        """A relative change of what is judged as one of what is measured, at the usual share."""
        return relative if self.odds is None else -relative / self.odds

    def size(self, relative: float) -> float:
        """A relative change of what is measured as one of what is judged, both without their signs."""
        return relative if self.odds is None else relative * self.odds

    def least(self, signal: Signal) -> float:
        """The relative change of what is judged below which there is no harm.

        What people set is one of the share that they see; what nobody has set is the same for both ways to write it.
        """
        return signal.min_effect if signal.default_effect else self.size(signal.min_effect)

    def least_measured(self, signal: Signal) -> float:
        """The same as a change of what is measured, without its sign."""
        return abs(self.change(self.least(signal)))


def side_of(grid: Grid, kind: Kind) -> Side:
    """The rarer side of a ratio with totals; anything else is judged as it is.

    So is what counts more than its totals now and then: it is no part of them, and nothing is what it leaves out.
    """
    if grid.totals is None or kind is not Kind.RATIO:
        return Side()
    known = np.isfinite(grid.values) & np.isfinite(grid.totals)
    rest = grid.totals[known] - grid.values[known]
    total, left, beyond = float(grid.totals[known].sum()), float(rest[rest > 0].sum()), float(-rest[rest < 0].sum())
    if total <= 0 or left >= HALF * total or beyond > BEYOND * left:
        return Side()
    # Half an event at least: what never happened yet may happen.
    return Side((total - left) / max(left, HALF))

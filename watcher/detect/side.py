"""Which side of a share is judged: the rarer one. Of 99.9 % good a loss of the good says nothing, the bad tell all.

Bad events are what scatters, like any rare events, and what harm multiplies: four times as many of one in a thousand
are a loss of 0.3 % of the good. So a share above a half is judged by what it leaves out, and told as it was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from watcher.detect.window import Grid
from watcher.model.service import Harm

HALF = 0.5
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
        """The grid as it is judged; of one that is, the measured one."""
        if self.odds is None or grid.totals is None:
            return grid
        return replace(grid, values=np.maximum(grid.totals - grid.values, 0.0))

    def harm(self, harm: Harm) -> Harm:
        """The direction that hurts, of what is judged."""
        return harm if self.odds is None else _OTHER[harm]

    def change(self, relative: float) -> float:
        """A relative change of what is judged as one of what is measured, at the usual share."""
        return relative if self.odds is None else -relative / self.odds

    def size(self, relative: float) -> float:
        """A relative change of what is measured as one of what is judged, both without their signs."""
        return relative if self.odds is None else relative * self.odds


def side_of(grid: Grid) -> Side:
    """The rarer side of a share; anything else, and what never happened, is judged as it is."""
    if grid.totals is None:
        return Side()
    known = np.isfinite(grid.values) & np.isfinite(grid.totals)
    good, total = float(grid.values[known].sum()), float(grid.totals[known].sum())
    if total <= 0 or good <= HALF * total:
        return Side()
    # Half a bad event at least: what never happened yet may happen.
    return Side(good / max(total - good, HALF))

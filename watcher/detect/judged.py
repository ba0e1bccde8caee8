"""What looks have made of points that later looks see again: those come more often than the points do."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from watcher.detect.judging import Seen
from watcher.detect.opinion import Opinion, Subject, form
from watcher.detect.window import Grid
from watcher.model.finding import Finding

_Said = tuple[Opinion, Finding]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Signal -> what its newest points were, and what was said of them. Of one watch; for one thread at a time.

    Attributes:
        newest: what was said; `formed`: what the judges said together, before anything was held against it.
        seen: its new buckets.
    """

    newest: dict[str, tuple[Hashable, _Said]] = field(default_factory=dict)
    formed: dict[str, tuple[Hashable, Opinion]] = field(default_factory=dict)
    seen: dict[str, tuple[Hashable, Seen]] = field(default_factory=dict)

    def see(self, subject: Subject) -> Seen:
        """The signal's new buckets, as `Subject.see`."""
        name, series = subject.signal.name, subject.series
        if series is None or not len(series):
            return subject.see(name)
        limit = min(subject.cutoff, series.complete_until)
        if not series.times[-1] <= limit < math.inf:  # some of its points are not seen yet
            return subject.see(name)
        basis = subject.calibrated, series, subject.calibrated.axis.index(limit)
        known = self.seen.get(name)
        if known is None or known[0] != basis:
            known = self.seen[name] = basis, subject.see(name)
        return known[1]

    def form(self, subject: Subject, seen: Seen) -> Opinion:
        """What the judges say together of these points; see `opinion.form`."""
        basis, name = _basis(subject, seen), subject.signal.name
        known = self.formed.get(name)
        if known is None or known[0] != basis:
            known = self.formed[name] = basis, form(subject, seen)
        return known[1]

    def of(self, subject: Subject, seen: Seen, judge: Callable[[], _Said]) -> _Said:
        """What was said of these points before, else what `judge` says now."""
        basis, name = _basis(subject, seen), subject.signal.name
        known = self.newest.get(name)
        if known is None or known[0] != basis:
            known = self.newest[name] = basis, judge()
        return known[1]


def _basis(subject: Subject, seen: Seen) -> Hashable:
    """All that judging the signal rests on: its calibration, its points and those of its control."""
    control = subject.calibrated.judges[0].control
    own = subject.calibrated, _points(seen.grid)
    if control is None:
        return own
    others = subject.see(control), subject.see_control(control)
    return own, *(None if other is None else _points(other.grid) for other in others)


def _points(grid: Grid) -> Hashable:
    return grid.values.tobytes(), b"" if grid.totals is None else grid.totals.tobytes()

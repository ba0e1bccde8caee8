"""The clocks that users live by: a day is a local day, and twice a year every habit moves by an hour of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from watcher.model.series import Floats

DAY = 86_400.0
LATEST = 7e9  # unix seconds: the years that zones are known for, and then some
APART = 10 * DAY  # no place changes its clocks twice within so long
SPAN = 36 * APART
# Places where many change their clocks, one for each date; which of its hours does not matter here.
PLACES = (
    "Europe/Berlin", "America/New_York", "Australia/Sydney", "Pacific/Auckland", "America/Santiago",
    "Africa/Cairo", "Asia/Jerusalem",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clock:
    """Local time is `ahead[i]` seconds ahead of UTC from `changes[i - 1]` (unix seconds, ascending) up to `changes[i]`.

    As numbers, so that a decision can be computed again where the zone's rules are others by then.
    """

    changes: tuple[float, ...] = ()
    ahead: tuple[float, ...] = (0.0,)

    def local(self, times: Floats) -> Floats:
        """What clocks show at `times` (unix seconds), in seconds; shape as `times`."""
        if not self.changes:
            return times + self.ahead[0]
        return np.asarray(times + np.asarray(self.ahead)[np.searchsorted(self.changes, times, side="right")])


UTC = Clock()


def clock_of(zone: str, begin: float, end: float) -> Clock:
    """The clock of an IANA zone from `begin` to `end`, unix seconds; ZoneInfoNotFoundError if there is none."""
    begin, end = (min(max(each, 0.0), LATEST) for each in (begin, end))
    known = [change for span in range(int(begin // SPAN), int(end // SPAN) + 1) for change in _changes(zone, span)]
    within = [change for change in known if begin < change[0] <= end]
    return Clock(tuple(at for at, _ in within), (_ahead(zone, begin), *(ahead for _, ahead in within)))


def changed(begin: float, end: float) -> tuple[Clock, ...]:
    """The clocks of places that changed theirs between `begin` and `end`, less what they show at `end`; each once."""
    found = (clock_of(place, begin, end) for place in PLACES)
    return tuple(
        dict.fromkeys(
            Clock(clock.changes, tuple(each - clock.ahead[-1] for each in clock.ahead))
            for clock in found
            if clock.changes
        )
    )


@lru_cache(maxsize=1024)
def _changes(zone: str, span: int) -> tuple[tuple[float, float], ...]:
    """Each moment of the span at which clocks were changed, and by how much they are ahead of UTC from then on."""
    found = []
    for low in np.arange(span * SPAN, (span + 1) * SPAN, APART).tolist():
        before, after = low, low + APART
        ahead = _ahead(zone, after)
        if ahead == _ahead(zone, before):
            continue
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (before, middle) if _ahead(zone, middle) == ahead else (middle, after)
        found.append((after, ahead))
    return tuple(found)


def _ahead(zone: str, at: float) -> float:
    """Seconds that clocks are ahead of UTC."""
    offset = datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0

"""Shares with their intervals, and tables of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence


def wilson(found: float, of: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); both may be fractions."""
    if of <= 0:
        return 0.0, 1.0
    z, share = 1.96, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def design_effect(hits: Iterable[tuple[Hashable, bool]]) -> float:
    """How many times the variance of a share is that of as many independent trials; 1 where it cannot be told.

    Trials of one group (a series, a history) are alike. Source: Kish (1965), the ratio estimator over groups.
    """
    groups: defaultdict[Hashable, list[bool]] = defaultdict(list)
    for group, hit in hits:
        groups[group].append(hit)
    of = sum(map(len, groups.values()))
    share = sum(map(sum, groups.values())) / max(of, 1)
    if len(groups) < 2 or not 0 < share < 1:
        return 1.0
    off = sum((sum(each) - share * len(each)) ** 2 for each in groups.values())
    return max(off * len(groups) / (len(groups) - 1) / (of * share * (1 - share)), 1.0)


def per_hundred(hits: Sequence[tuple[Hashable, bool]], effect: float | None = None) -> str:
    """`1.3 (0.6-2.8)`: hits per 100 and the 95 % interval, as wide as groups that are alike demand."""
    of, found = len(hits), sum(hit for _, hit in hits)
    if not of:
        return "-"
    shrink = effect if effect is not None else design_effect(hits)
    low, high = wilson(found / shrink, of / shrink)
    return f"{100 * found / of:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n### {title}\n")
    if note:
        print(f"{note}\n")
    for place, row in enumerate([head, *rows]):
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if not place:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|", flush=True)

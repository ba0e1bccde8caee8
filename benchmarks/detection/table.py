"""Figures to a table, each share with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence


def wilson(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def share(found: int, of: int) -> str:
    low, high = wilson(found, of)
    return f"{100 * found / max(of, 1):.1f} ({100 * low:.1f}-{100 * high:.1f})"


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n### {title}\n")
    for place, row in enumerate([head, *rows]):
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if not place:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|", flush=True)

"""Numbers and times as people read them."""

from __future__ import annotations

import math

_NEARLY = 0.05  # what a share near everything leaves out at most


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def number(value: float) -> str:
    """Three significant digits, without an exponent where that reads better."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        text = f"{value:.3g}"
        return f"{float(text):,.0f}" if "e" in text else text
    return f"{value:.2e}"


def percent(share: float) -> str:
    """A share as percent: 0.3 -> `30 %`, 0.034 -> `3.4 %`, 0.0012 -> `0.12 %`; near everything 0.9989 -> `99.89 %`."""
    rest = 1 - abs(share)
    if 1e-9 < rest < _NEARLY:  # two digits of what is left out: 99.9 % is another service than 99.4 %
        text = f"{share * 100:.{-math.floor(math.log10(rest)) - 1}f}"
        return f"{text.rstrip('0').rstrip('.')} %"
    return f"{float(f'{share * 100:.2g}'):g} %" if abs(share) < 10 else f"{share * 100:,.0f} %"

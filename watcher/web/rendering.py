"""Jinja templates with everything escaped, and the few words that they share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from watcher import __version__
from watcher.kit.outside import is_web_url
from watcher.kit.text import duration
from watcher.web import cookies

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    request: Request, name: str, status: int = 200, *, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A template as an answer; its forms hold the browser's form secret."""
    now = request.app.state.web.now()
    form = cookies.form_secret(request)
    text = _environment.get_template(name).render(
        now=now, version=__version__, path=request.url.path, form_secret=form, **values
    )
    answer = HTMLResponse(text, status, dict(headers or {}))
    if form != cookies.read(request, cookies.FORM):
        cookies.put(request, answer, cookies.FORM, form)
    return answer


def moment(at: float | None, now: float) -> Markup:
    """A time element: relative for the eye, exact in its title; the script keeps it fresh."""
    return Markup("never") if at is None else _time(at, relative(at, now), Markup(""))


def due(at: float, now: float) -> Markup:
    """A time element of something to come: `in 40 s`, or `due` once its time has passed."""
    return _time(at, relative(at, now) if at > now else "due", Markup(" data-due"))


def _time(at: float, text: str, mark: Markup) -> Markup:
    exact = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}" title="{}" data-at="{}"{}>{}</time>').format(
        exact.strftime("%Y-%m-%dT%H:%M:%SZ"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), f"{at:.3f}", mark, text
    )


def relative(at: float, now: float) -> str:
    """`just now`, `12 min ago`, `in 3 h 20 min`."""
    apart = at - now
    if abs(apart) < 5:
        return "just now"
    return f"in {duration(apart)}" if apart > 0 else f"{duration(-apart)} ago"


def plain(name: object) -> str:
    """`too_little_history` -> `too little history`."""
    return str(name).replace("_", " ")


def prose(text: str) -> str:
    """A clause as a sentence of its own: a capital, and no number parted from its percent sign."""
    return (text[:1].upper() + text[1:]).replace(" %", "\N{NO-BREAK SPACE}%")


_environment.filters |= {
    "moment": moment,
    "due": due,
    "duration": duration,
    "is_web": is_web_url,
    "plain": plain,
    "prose": prose,
}

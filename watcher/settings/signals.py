"""Compiles one signal: the keys that every signal has, and the query that only its adapter understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from watcher import registry
from watcher.model.service import Harm, Kind, Role, Signal, default_must_see
from watcher.settings import shapes
from watcher.settings.document import Path
from watcher.settings.report import Report
from watcher.settings.sections import Known
from watcher.settings.service_options import SignalOptions

METRIC_STEP = 60.0
TICKET_STEP = 300.0  # tickets are few, and their systems allow few calls


def compile_signal(value: object, path: Path, known: Known, report: Report) -> Signal | None:
    """The signal at `path`; None and problems if it is not right."""
    raw = report.mapping(value, path, "a mapping with source or tickets")
    if not isinstance(value, dict):
        return None
    right = report.name(path)
    asks = [key for key in ("source", "tickets") if key in raw]
    if len(asks) != 1:
        wrong = "has both source and tickets" if asks else "says not what measures it"
        report.add(path, f"{wrong} (expected source: a metric source, or tickets: a ticket system)")
        return None
    section = "sources" if asks == ["source"] else "ticket_systems"
    adapter = _adapter(raw[asks[0]], section, (*path, asks[0]), known, report)
    options, query = _validated(raw, section, adapter.Query if adapter else None, path, report)
    if options is None or not _fits(options, path, report) or query is None or not right:
        return None
    kind = options.kind or Kind.COUNT
    # An adapter that measures some kinds in some ways only can say so.
    misfit = adapter.misfit(kind, query) if hasattr(adapter, "misfit") else None
    if misfit:
        report.add((*path, "kind"), misfit)
        return None
    return _compiled(str(path[-1]), options, query)


def _adapter(name: object, section: str, path: Path, known: Known, report: Report) -> Any:
    """The class of the adapter that the signal asks; None if it is unknown, and a problem if it is not configured."""
    if not isinstance(name, str):
        return None  # the signal's own validation says so
    if name not in known.kinds[section]:
        what = "source" if section == "sources" else "ticket system"
        report.unknown(path, what, name, known.kinds[section], f"one under {section}")
        return None
    kind = known.kinds[section][name]
    return registry.adapter(section, kind) if kind else None


def _validated(
    raw: Mapping[str, Any], section: str, model: type[BaseModel] | None, path: Path, report: Report
) -> tuple[SignalOptions | None, BaseModel | None]:
    """A metric's query stands beside the signal's own keys, a ticket system's under `query`."""
    own = SignalOptions.model_fields.keys()
    if section == "ticket_systems":
        options = report.validated(
            SignalOptions, {key: item for key, item in raw.items() if key != "query"}, path, [*own, "query"]
        )
        query = report.mapping(raw.get("query", {}), (*path, "query"), "a mapping of keys and values")
        return options, report.validated(model, query, (*path, "query")) if model else None
    options = report.validated(SignalOptions, {key: item for key, item in raw.items() if key in own}, path)
    if model is None:
        return options, None
    rest = {key: item for key, item in raw.items() if key not in own}
    return options, report.validated(model, rest, path, [*own, *model.model_fields])


def _fits(options: SignalOptions, path: Path, report: Report) -> bool:
    """Whether the keys of a signal go together."""
    wrong: list[tuple[str, str]] = []
    if options.tickets is None and options.kind is None:
        wrong.append(("kind", f"is missing (expected {shapes.one_of(Kind)})"))
    if options.tickets is not None and options.kind not in {None, Kind.COUNT}:
        wrong.append(("kind", "tickets are counted (expected count, or no such key)"))
    if options.harm is None and options.role is not Role.CONTROL:
        wrong.append(("harm", f"is missing (expected {shapes.one_of(Harm)})"))
    if options.min_effect >= 1 and options.harm is Harm.DOWN:
        wrong.append(("min_effect", "nothing falls that far (expected less than 100% where harm is down)"))
    if options.must_see is not None and options.must_see > 1 and options.harm is Harm.DOWN:
        wrong.append(("must_see", "nothing falls that far (expected at most 100% where harm is down)"))
    # What nobody has set is, of most ratios, a change of what they leave out, and so far smaller.
    least = options.min_effect if "min_effect" in options.model_fields_set or options.kind is not Kind.RATIO else 0.0
    if options.must_see is not None and options.must_see < least:
        wrong.append(
            ("must_see", "smaller than min_effect, below which nothing is called harm (expected at least that)")
        )
    for key, message in wrong:
        report.add((*path, key), message)
    return not wrong


def _compiled(name: str, options: SignalOptions, query: BaseModel) -> Signal:
    tickets, harm = options.tickets is not None, options.harm or Harm.EITHER
    usual = default_must_see(options.min_effect, harm)
    step = options.step if options.step is not None else (TICKET_STEP if tickets else METRIC_STEP)
    return Signal(
        name=name,
        kind=options.kind or Kind.COUNT,
        harm=harm,
        source=options.tickets or options.source or "",
        step=step,
        is_tickets=tickets,
        role=options.role or (Role.SUPPORTING if tickets else Role.REQUIRED),
        settle=options.settle,
        min_effect=options.min_effect,
        default_effect="min_effect" not in options.model_fields_set,
        must_see=options.must_see if options.must_see is not None else usual,
        control=options.control,
        query=query.model_dump(mode="json", exclude_unset=True),
    )

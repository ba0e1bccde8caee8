"""Compiles the services: what each one says, what it takes from the defaults, and whether that fits together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, NamedTuple

from watcher.kit.units import write_duration
from watcher.model.service import Mode, Role, Service, Signal
from watcher.settings import sections
from watcher.settings.document import Path
from watcher.settings.report import Report
from watcher.settings.sections import Known
from watcher.settings.service_options import PolicyOptions, ServiceOptions
from watcher.settings.signals import compile_signal
from watcher.settings.templates import expanded
from watcher.settings.types import Adapter

_LATE_TICKETS = 4 * 3600.0  # customers write later than they suffer


_TIMES = frozenset({"window", "ticket_window", "step", "history", "warm_up"})


class Defaults(NamedTuple):
    """What services inherit. `timely`: whether its times are what the file says."""

    policy: PolicyOptions
    timely: bool


def inherited(raw: Mapping[str, Any], report: Report) -> Defaults:
    """The section `defaults`; of one with problems, what is right in it."""
    path: Path = ("defaults",)
    policy = report.validated(PolicyOptions, raw, path) or report.salvaged(PolicyOptions, raw) or PolicyOptions()
    return Defaults(policy, _timely(raw, policy))


def _timely(raw: Mapping[str, Any], policy: PolicyOptions) -> bool:
    """Whether no time was left out for being wrong: compared with what stands in for it, others would seem wrong."""
    return not _TIMES & (raw.keys() - policy.model_fields_set)


def compile_services(
    raw: Mapping[str, Any], defaults: Defaults, known: Known, report: Report
) -> tuple[dict[str, Adapter], list[Service]]:
    """The rollback targets by service, and the services; only what is right."""
    names = _names(raw)
    _check_notify(defaults.policy.notify, ("defaults",), known, report)
    _check_depends_on(defaults.policy, ("defaults",), names, report)
    rollbacks: dict[str, Adapter] = {}
    services: list[Service] = []
    taken: set[str] = set()
    for name, value in raw.items():
        path: Path = ("services", name)
        report.name(path)
        own = report.mapping(value, path, "a mapping with signals")
        rollback = None
        if own.get("rollback") is not None:
            rollback = sections.adapter("rollback", own["rollback"], (*path, "rollback"), report)
        made = _service(path, own, defaults, known, names, report) if isinstance(value, dict) else ()
        for service in made:
            if service.name != name and (service.name in raw or service.name in taken):
                report.add((*path, "each"), f'another service is named "{service.name}" (expected a name of its own)')
            taken.add(service.name)
            rollbacks |= {service.name: replace(rollback, name=service.name)} if rollback else {}
        services += made
    _check_twins(services, report)
    return rollbacks, services


def _names(raw: Mapping[str, Any]) -> AbstractSet[str]:
    """Of all services, also of those that are not right: whoever names one has made no mistake."""
    names: set[str] = set()
    for name, value in raw.items():
        each = value.get("each") if isinstance(value, dict) else None
        names |= {one for one in each if isinstance(one, str)} if isinstance(each, list) else {name}
    return names


def _service(
    path: Path, raw: Mapping[str, Any], defaults: Defaults, known: Known, names: AbstractSet[str], report: Report
) -> Sequence[Service]:
    """The service at `path`, or those it is a template of, checked as far as it can be; none if it is not right."""
    asked = raw.get("signals")
    signals = {
        name: compile_signal(signal, (*path, "signals", name), known, report)
        for name, signal in (asked.items() if isinstance(asked, dict) else ())
    }
    outline = _outline(raw)
    whole = report.validated(ServiceOptions, outline, path)
    own = whole or report.salvaged(ServiceOptions, outline | {"signals": {"-": {}}})
    if own is None:
        return ()
    policy = _inherited(own, defaults.policy)
    _check_notify(own.notify, path, known, report)
    _check_depends_on(own, path, names, report)
    if own.match is not None and not own.match:
        report.add((*path, "match"), "matches every deploy (expected at least one attribute and its pattern)")
    if policy.mode is not Mode.OBSERVE and own.rollback is None:
        report.add((*path, "rollback"), f"is missing, and the mode is {policy.mode} (expected a rollback hook)")
    right = tuple(signal for signal in signals.values() if signal is not None)
    _check_controls(right, signals.keys(), path, report)
    service = _compiled(str(path[-1]), own, policy, right)
    if defaults.timely and _timely(raw, own):
        _check_times(service, path, report)
    made = expanded(path, service, own, known, report)
    return made if whole is not None and len(right) == len(signals) else ()


def _outline(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A service without the inside of what is read by others: their problems must not hide those of its own."""
    outline = dict(raw)
    if raw.get("rollback") is not None:
        outline["rollback"] = {}
    if isinstance(raw.get("signals"), dict):
        outline["signals"] = {name: {} for name in raw["signals"]}
    return outline


def _inherited(own: ServiceOptions, defaults: PolicyOptions) -> PolicyOptions:
    """`own`, and what it does not say from `defaults`; a key without a value says nothing."""
    said = {key: getattr(own, key) for key in own.model_fields_set & PolicyOptions.model_fields.keys()}
    return defaults.model_copy(update={key: value for key, value in said.items() if value is not None})


def _compiled(name: str, own: ServiceOptions, policy: PolicyOptions, signals: tuple[Signal, ...]) -> Service:
    late = any(signal.is_tickets for signal in signals)
    ticket_window = policy.ticket_window
    if ticket_window is None:
        ticket_window = max(policy.window, _LATE_TICKETS) if late else policy.window
    smallest = min((signal.step for signal in signals), default=policy.window)
    return Service(
        name=name,
        match=dict(own.match) if own.match else {"service": name},
        signals=signals,
        mode=policy.mode,
        window=policy.window,
        ticket_window=ticket_window,
        step=policy.step if policy.step is not None else min(smallest, policy.window),
        history=policy.history,
        false_rollback_probability=policy.false_rollback_probability,
        rollback=name if own.rollback is not None else None,
        recovery_window=policy.recovery_window,
        approval_timeout=policy.approval_timeout,
        notify=policy.notify,
        rollbacks_per_hour=policy.rollbacks_per_hour,
        freeze=tuple(freeze.compiled(policy.zone) for freeze in policy.freeze),
        blind_after=policy.blind_after,
        depends_on=policy.depends_on,
        warm_up=policy.warm_up,
        zone=policy.zone,
    )


def _check_notify(names: tuple[str, ...], path: Path, known: Known, report: Report) -> None:
    for index, name in enumerate(names):
        where = (*path, "notify", index)
        if name not in known.kinds["notifiers"]:
            report.unknown(where, "notifier", name, known.kinds["notifiers"], "one under notifiers")
        elif name in names[:index]:
            report.add(where, "the notifier stands twice (expected it once)")


def _check_depends_on(policy: PolicyOptions, path: Path, names: AbstractSet[str], report: Report) -> None:
    """An unknown name is refused: mistyped, it would let a deploy be blamed for what another one did."""
    given = policy.depends_on or ()
    for index, name in enumerate(given):
        where = (*path, "depends_on", index)
        if name not in names:
            report.unknown(where, "service", name, names, "one under services")
        elif name in given[:index]:
            report.add(where, "the service stands twice (expected it once)")


def _check_times(service: Service, path: Path, report: Report) -> None:
    window = write_duration(service.window)
    if service.step > service.window:
        report.add((*path, "step"), f"longer than the window (expected at most {window})")
    if service.ticket_window < service.window:
        report.add((*path, "ticket_window"), f"shorter than the window (expected at least {window})")
    if service.warm_up > service.window / 2:
        half = write_duration(service.window / 2)
        report.add((*path, "warm_up"), f"longer than half the window (expected at most {half})")
    if service.history <= service.window:
        report.add((*path, "history"), f"not longer than the window (expected more than {window})")
    for signal in service.signals:
        longest = service.ticket_window if signal.is_tickets else service.window
        if signal.step > longest:
            what = f"the step of {write_duration(signal.step)} is longer than the window"
            report.add((*path, "signals", signal.name, "step"), f"{what} (expected at most {write_duration(longest)})")


def _check_controls(right: tuple[Signal, ...], names: AbstractSet[str], path: Path, report: Report) -> None:
    """`names` are those of all signals: of one that is not right nobody knows whether it is a control."""
    controls = {signal.name: signal for signal in right if signal.role is Role.CONTROL}
    broken = names - {signal.name for signal in right}
    for signal in right:
        where = (*path, "signals", signal.name, "control")
        if signal.control is None or signal.control in broken:
            continue
        if signal.role is Role.CONTROL:
            report.add(where, "a control cannot have a control itself (expected no such key)")
        elif signal.control not in controls:
            report.unknown(where, "control signal", signal.control, controls, "a signal with role: control")
        elif controls[signal.control].step != signal.step:
            step = write_duration(controls[signal.control].step)
            report.add(where, f"the control has another step, {step} (expected the same step for both)")
    if controls and len(controls) == len(names):
        report.add((*path, "signals"), "only controls (expected a signal that is none)")


def _check_twins(services: list[Service], report: Report) -> None:
    seen: dict[frozenset[tuple[str, str]], str] = {}
    for service in services:
        match = frozenset(service.match.items())
        if match in seen:
            report.warn(
                ("services", service.name),
                f"matches the same deploys as {seen[match]}: each deploy is watched for both",
            )
        seen.setdefault(match, service.name)

"""`watcher check-config`: says what a configuration means, or everything that is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

import click

from watcher import settings as configuration
from watcher.errors import ConfigError
from watcher.kit import text
from watcher.kit.units import write_duration
from watcher.model.service import Kind, Mode, Role, Service, Signal
from watcher.settings import Adapter, Settings


@click.command(name="check-config")
@click.argument("file", type=click.Path())
@click.option("--live", is_flag=True, help="Also ask every signal's query once and print what came back.")
def check_config(file: str, live: bool) -> None:
    """Check the configuration FILE: exit status 0 and a summary, or 1 and one line for every problem."""
    try:
        settings = configuration.load(file, os.environ)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    for line in summary(settings):
        click.echo(line)
    for warning in settings.warnings:
        click.echo(f"{warning} (a warning)", err=True)
    if live:
        from watcher.cli.live import check_live  # noqa: PLC0415  # a plain check must not pay for the adapters' imports

        sys.exit(0 if check_live(settings, click.echo) else 1)


def summary(settings: Settings) -> Iterator[str]:
    """What was understood, for people; no secret is in it."""
    server = settings.server
    reach = "this machine only" if server.loopback else f"other machines, {_count(server.tokens, 'token')}"
    yield f"{settings.file}: {_count(settings.services, 'service')}, {_count(settings.hooks, 'hook')}, no problem found"
    yield f"server   {server.host}:{server.port}, reached by {reach}"
    yield f"store    {settings.store_url.get_secret_value().partition(':')[0].partition('+')[0]}"
    hooks = [f"POST /hooks/{name} ({hook.kind})" for name, hook in settings.hooks.items()]
    yield f"hooks    {', '.join(hooks) or 'none'}"
    if settings.heartbeat:
        yield f"outside  a heartbeat every {write_duration(settings.heartbeat.interval)}"
    for service in settings.services.values():
        yield ""
        yield from _service(service, settings)


def _service(service: Service, settings: Settings) -> Iterator[str]:
    window = write_duration(service.window)
    if any(signal.is_tickets for signal in service.signals):
        window += f", tickets {write_duration(service.ticket_window)}"
    yield f"{service.name}"
    yield f"  deploys   {', '.join(f'{key}={pattern}' for key, pattern in service.match.items())}"
    cold = f", not the first {write_duration(service.warm_up)}" if service.warm_up else ""
    yield f"  window    {window}{cold}; a look every {write_duration(service.step)}"
    if service.zone:
        yield f"  clocks    {service.zone}"
    yield (
        f"  mode      {service.mode}; a harmless deploy is called regressed with a probability of at most "
        f"{text.percent(service.false_rollback_probability)}"
    )
    for signal in service.signals:
        yield f"  signal    {_signal(signal, settings)}"
    target = settings.rollbacks.get(service.name)
    yield f"  rollback  {target.kind if target else 'none'}"
    if service.mode is Mode.ACT:
        yield f"  asks      {_asks(service)}"
    yield f"  told      {', '.join(_named(settings.notifiers[name]) for name in service.notify) or 'nobody'}"


def _signal(signal: Signal, settings: Settings) -> str:
    adapters = settings.ticket_systems if signal.is_tickets else settings.sources
    parts = [f"{signal.name}: {signal.kind} of {_named(adapters[signal.source])} every {write_duration(signal.step)}"]
    if signal.role is Role.CONTROL:
        return f"{parts[0]}, a control"
    least = text.percent(signal.min_effect)
    if signal.default_effect and signal.kind is Kind.RATIO and "bad" not in signal.query:
        least += " (of what it leaves out, where that is less than half)"
    parts.append(f"{signal.role}, harm {signal.harm} from {least}")
    if signal.control:
        parts.append(f"compared with {signal.control}")
    return ", ".join(parts)


def _asks(service: Service) -> str:
    """When a service in mode `act` only asks."""
    most = service.rollbacks_per_hour
    parts = [f"beyond {_count(range(most), 'rollback')} an hour" if most else "always"]
    parts += [f"{freeze.start} to {freeze.end} ({freeze.zone})" for freeze in service.freeze]
    return "; ".join(parts)


def _named(adapter: Adapter) -> str:
    return f"{adapter.name} ({adapter.kind})"


def _count(things: Iterable[object], noun: str) -> str:
    count = len(list(things))
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

"""The `watcher` command: a table of its subcommands, each imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

import click

from watcher import __version__

_COMMANDS = MappingProxyType(
    {
        "run": "watcher.cli.run:run",
        "check-config": "watcher.cli.check_config:check_config",
        "schema": "watcher.cli.schema:schema",
        "import": "watcher.cli.importing:import_",
        "replay": "watcher.cli.replay:replay",
        "rehearse": "watcher.cli.rehearse:rehearse",
        "status": "watcher.cli.status:status",
        "explain": "watcher.cli.explain:explain",
        "wait": "watcher.cli.wait:wait",
        "deploy": "watcher.cli.deploy:deploy",
        "approve": "watcher.cli.decide:approve",
        "refuse": "watcher.cli.decide:refuse",
    }
)


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.command(cls=_Lazy)
@click.version_option(__version__, prog_name="watcher")
def cli() -> None:
    """Watch what users do and say after a deploy; roll back the deploy that made it worse."""

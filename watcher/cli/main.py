"""The `watcher` command: a table of its subcommands, each imported only when it is used."""

from __future__ import annotations

import gc
from importlib import import_module
from types import MappingProxyType

import click

from watcher import __version__

# Name -> where it is, and its line in `watcher --help`, which must not import all of them.
COMMANDS = MappingProxyType(
    {
        "run": ("watcher.cli.run:run", "Watch deploys until stopped."),
        "check-config": (
            "watcher.cli.check_config:check_config",
            "Check a configuration and name every mistake in it.",
        ),
        "schema": ("watcher.cli.schema:schema", "Print the JSON schema of the configuration, for editors."),
        "backup": ("watcher.cli.backup:backup", "Copy an SQLite store while it is in use."),
        "restore": ("watcher.cli.backup:restore", "Make the store of a backup."),
        "import": ("watcher.cli.importing:import_", "Fill a source's history from OpenMetrics text."),
        "replay": ("watcher.cli.replay:replay", "Judge recorded deploys."),
        "rehearse": ("watcher.cli.rehearse:rehearse", "Rehearse a service on its own history."),
        "status": ("watcher.cli.status:status", "Show the newest watches, and what waits for a decision."),
        "explain": ("watcher.cli.explain:explain", "Say why a deploy was judged as it was."),
        "wait": ("watcher.cli.wait:wait", "Wait until a deploy is judged."),
        "deploy": ("watcher.cli.deploy:deploy", "Tell the daemon of a deploy."),
        "approve": ("watcher.cli.decide:approve", "Approve the rollback that waits."),
        "refuse": ("watcher.cli.decide:refuse", "Refuse the rollback that waits."),
        "drill": ("watcher.cli.drill:drill", "Send a rollback target a dry-run order."),
    }
)


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        gc.disable()  # what is imported stays: collecting in between only takes time
        try:
            command: click.Command = getattr(import_module(module), name)
        finally:
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=_Lazy)
@click.version_option(__version__, prog_name="watcher")
def cli() -> None:
    """Watch what users do and say after a deploy; roll back the deploy that made it worse."""

"""`python -m watcher` is `watcher`."""

from __future__ import annotations

from watcher.cli.main import cli


def main() -> None:
    cli(prog_name="watcher")


if __name__ == "__main__":
    main()

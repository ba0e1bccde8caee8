"""`watcher schema`: the configuration as an editor (JSON schema) or a reader (Markdown) wants to know it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from watcher import settings

BEGIN, END = "<!-- options: written by `watcher schema --markdown` -->", "<!-- /options -->"


@click.command()
@click.option("--markdown", is_flag=True, help="Tables of every option instead of the JSON schema.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file; tables take the place of those between the marks that stand in it.",
)
def schema(markdown: bool, output: Path | None) -> None:
    """Print the JSON schema of the configuration, for editors."""
    text = settings.markdown() if markdown else json.dumps(settings.json_schema(), indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        whole = framed(output.read_text("utf-8"), text) if markdown else text
        output.write_text(whole, "utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None


def framed(document: str, tables: str) -> str:
    """`document` with `tables` between its marks."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise click.ClickException(f"the file needs the lines {BEGIN} and {END}, between which the tables go")
    return f"{head}{BEGIN}\n\n{tables}\n{END}{tail}"

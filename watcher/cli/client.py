"""The command line's way to the daemon: its API, through the one door for HTTP, with errors of one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import click
from pydantic import SecretStr

from watcher.errors import ExternalError, Fault
from watcher.kit.http import Connection, HttpClient, HttpStatusError

FAILED = 5  # exit status: an error, or a daemon that cannot be reached
_SECONDS = 15.0

F = TypeVar("F", bound=Callable[..., Any])


class Failure(click.ClickException):
    """Something went wrong, in one line."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:  # noqa: ARG002  # click's signature
        say(f"watcher: {self.message}", err=True)


class UnreachableError(Failure):
    """The daemon did not answer, or answered that it cannot now: trying again may help."""


class NotYetError(Failure):
    """What was asked does not fit the state (409): an unfinished deploy, a decision that came too late."""


class Client:
    """Speaks to one daemon."""

    def __init__(self, url: str, token: str | None, ca_file: str | None) -> None:
        self._url = url.rstrip("/")
        secret = SecretStr(token.strip()) if token else None
        self._http = HttpClient(Connection(timeout=_SECONDS, bearer_token=secret, ca_file=ca_file))

    def get(self, path: str, params: Mapping[str, str] | None = None, *, patience: float = 0.0) -> Any:
        """The JSON answer; `patience`: seconds for which the daemon may hold the answer back.

        Raises:
            Failure: in words for a person; `UnreachableError` where a retry can help, `NotYetError` for a conflict.
        """
        return self._ask("GET", path, params=params, timeout=_SECONDS + patience)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer; failures as for `get`."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            return self._http.request(method, f"{self._url}{path}", **more).json()
        except HttpStatusError as error:
            raise _refusal(error) from None
        except ExternalError as error:
            if error.permanent or error.fault is Fault.MALFORMED:
                raise Failure(f"{self._url} is no watcher: {error}") from None
            raise UnreachableError(f"cannot reach the watcher at {self._url}: {error}") from None


def path_of(watch_id: str) -> str:
    """The path of a watch in the API, whatever the id is made of."""
    return f"/api/v1/watches/{quote(watch_id, safe='')}"


def _refusal(error: HttpStatusError) -> Failure:
    status = error.response.status
    text = _words(error)
    if status == 401:
        return Failure("the daemon does not know this token (set WATCHER_TOKEN or --token)")
    if status == 403:
        return Failure(f"not allowed: {text}")
    if status == 409:
        return NotYetError(text)
    if status >= 500 or status == 429:
        return UnreachableError(f"the watcher cannot answer now: {text}")
    return Failure(text)


def _words(error: HttpStatusError) -> str:
    try:
        body = error.response.json()
        text = str(body["error"])
        expected = body.get("expected")
    except (ExternalError, KeyError, TypeError, AttributeError):
        return f"it answered {error.response.status}, and not as a watcher does: is the URL right?"
    return f"{text} (expected {expected})" if expected and str(expected) not in text else text


def _checked_url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter("expected an address such as http://127.0.0.1:8080")
    return value


def with_client(command: F) -> F:
    """Gives a command the options that reach the daemon, and the client as its first argument `client`."""

    def wrapped(*args: Any, url: str, token: str | None, ca_file: str | None, **more: Any) -> Any:
        return command(*args, client=Client(url, token, ca_file), **more)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__dict__.update(command.__dict__)
    options = (
        click.option(
            "--url",
            envvar="WATCHER_URL",
            default="http://127.0.0.1:8080",
            show_default=True,
            show_envvar=True,
            callback=_checked_url,
            help="Where the daemon is.",
        ),
        click.option(
            "--token",
            envvar="WATCHER_TOKEN",
            show_envvar=True,
            help="API token; better given by the environment than on the command line.",
        ),
        click.option(
            "--ca-file", envvar="WATCHER_CA_FILE", show_envvar=True, help="PEM file of the authorities to trust."
        ),
    )
    for option in options:
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # the same command with three options more


def say(text: str, *, err: bool = False) -> None:
    """Prints. A stream that is closed, or that cannot take a character, never changes a command's exit status."""
    with suppress(OSError):
        try:
            click.echo(text, err=err)
        except UnicodeEncodeError:
            click.echo(text.encode("ascii", "replace").decode(), err=err)

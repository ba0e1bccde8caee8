"""The one door for HTTP: a limit on the whole exchange, a cap on the body, no redirects, faults classified once."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from watcher.errors import ExternalError, Fault
from watcher.kit import clock
from watcher.kit.units import Duration

_CHUNK = 64 * 1024
_PERMANENT = frozenset(range(400, 500)) - {408, 409, 423, 425, 429}


class Connection(BaseModel):
    """How to reach an HTTP service: the connection options that every HTTP adapter shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout: Duration = Field(default=10.0, gt=0, le=300, description="Seconds for a whole exchange, body included.")
    max_bytes: int = Field(default=64 * 1024 * 1024, gt=0, description="Largest answer that is read.")
    headers: Mapping[str, SecretStr] = Field(default_factory=dict, description="Headers sent with every request.")
    username: str | None = Field(default=None, description="User of basic authentication.")
    password: SecretStr | None = Field(default=None, description="Password of basic authentication.")
    bearer_token: SecretStr | None = Field(default=None, description="Token of bearer authentication.")
    ca_file: str | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    cert_file: str | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: str | None = Field(default=None, description="PEM file of the client certificate's key.")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read whole; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; `ExternalError` (malformed) if it is none."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ExternalError(
                f"the answer is no JSON ({len(self.body)} bytes)", fault=Fault.MALFORMED, permanent=False
            ) from error


# Called after every exchange: host, seconds, fault or None.
Observer = Callable[[str, float, Fault | None], None]


def _unobserved(_host: str, _seconds: float, _fault: Fault | None) -> None:
    return


class HttpClient:
    """A door to the services of one adapter; safe to use from several threads."""

    def __init__(self, connection: Connection, observer: Observer = _unobserved) -> None:
        self._connection = connection
        self._observer = observer

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """One exchange; answers below 400 are returned, but a redirect is a fault.

        Raises:
            ExternalError: with the host, never the query, the body or a header, in its text.
        """
        began = clock.monotonic()
        limit = timeout or self._connection.timeout
        fault: Fault | None = None
        try:
            with requests.Session() as session:
                session.trust_env = False
                prepared = session.prepare_request(
                    requests.Request(
                        method,
                        url,
                        params=params,
                        headers=self._headers(headers),
                        data=data,
                        json=json,
                        auth=self._auth(),
                    )
                )
                # Closed by hand: an answer that was not read to its end keeps its socket, whatever the session does.
                with session.send(
                    prepared,
                    timeout=limit,
                    stream=True,
                    allow_redirects=False,
                    verify=self._connection.ca_file or True,
                    cert=self._cert(),
                ) as answer:
                    body = _read(answer, began + limit, max_bytes or self._connection.max_bytes, _host(url))
                    return _checked(answer, body, _host(url))
        except ExternalError as error:
            fault = error.fault
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            classified = _classify(error, _host(url))
            fault = classified.fault
            raise classified from None  # the original text may hold the URL with its query
        finally:
            self._observer(_host(url), clock.monotonic() - began, fault)

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"user-agent": "deploy-watch", "accept-encoding": "identity"}
        headers |= {name: value.get_secret_value() for name, value in self._connection.headers.items()}
        if self._connection.bearer_token:
            headers["authorization"] = f"Bearer {self._connection.bearer_token.get_secret_value()}"
        return headers | dict(extra or {})

    def _auth(self) -> tuple[str, str] | None:
        user, password = self._connection.username, self._connection.password
        return (user, password.get_secret_value() if password else "") if user is not None else None

    def _cert(self) -> tuple[str, str] | str | None:
        cert, key = self._connection.cert_file, self._connection.key_file
        return (cert, key) if cert and key else cert


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def _read(answer: requests.Response, deadline: float, cap: int, host: str) -> bytes:
    chunks: list[bytes] = []
    size = 0
    # read1 gives what has arrived; iter_content waits for a whole chunk, so that a slow drip would outlast every limit.
    while chunk := answer.raw.read1(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > cap:
            raise ExternalError(f"{host}: the answer is larger than {cap} bytes", fault=Fault.TOO_LARGE, permanent=True)
        if clock.monotonic() > deadline:
            raise ExternalError(f"{host}: the answer took too long", fault=Fault.TIMEOUT, permanent=False)
        chunks.append(chunk)
    return b"".join(chunks)


def _checked(answer: requests.Response, body: bytes, host: str) -> Response:
    status = answer.status_code
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if status < 300:
        return Response(status, headers, body)
    if status < 400:
        raise ExternalError(f"{host}: answered {status}, a redirect", fault=Fault.REDIRECT, permanent=True)
    fault = {401: Fault.UNAUTHORIZED, 403: Fault.UNAUTHORIZED, 429: Fault.RATE_LIMITED}.get(status, Fault.STATUS)
    raise HttpStatusError(
        f"{host}: answered {status}",
        fault=fault,
        permanent=status in _PERMANENT,
        retry_after=retry_after(headers),
        response=Response(status, headers, body),
    )


class HttpStatusError(ExternalError):
    """An answer of 400 or more; the adapter may read `response` for the vendor's own words."""

    def __init__(
        self, message: str, *, fault: Fault, permanent: bool, retry_after: float | None, response: Response
    ) -> None:
        super().__init__(message, fault=fault, permanent=permanent, retry_after=retry_after)
        self.response = response


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header, given as seconds or as a date; None without one that can be read."""
    text = headers.get("retry-after", "").strip()
    try:
        return (
            max(float(text), 0.0)
            if text.isascii() and text.isdigit()
            else max(parsedate_to_datetime(text).timestamp() - clock.now(), 0.0)
        )
    except (ValueError, TypeError, OverflowError):
        return None


def _classify(error: Exception, host: str) -> ExternalError:
    if isinstance(error, requests.exceptions.SSLError):
        return ExternalError(f"{host}: TLS failed", fault=Fault.TLS, permanent=False, sent=False)
    if isinstance(error, requests.ConnectTimeout):
        return ExternalError(f"{host}: no connection in time", fault=Fault.TIMEOUT, permanent=False, sent=False)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return ExternalError(f"{host}: no answer in time", fault=Fault.TIMEOUT, permanent=False)
    if isinstance(
        error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | ValueError
    ) and not isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return ExternalError(f"{host}: not a request that can be sent", fault=Fault.QUERY, permanent=True, sent=False)
    if isinstance(error, requests.ConnectionError) and "refused" in repr(error).lower():
        return ExternalError(f"{host}: connection refused", fault=Fault.CONNECTION, permanent=False, sent=False)
    return ExternalError(f"{host}: the connection broke", fault=Fault.CONNECTION, permanent=False)

"""The one door for HTTP: the configured host alone, a limit on the whole exchange, a cap on the body, no redirects,
faults classified once.
"""

from __future__ import annotations

import json as jsonlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from watcher.errors import ExternalError, Fault
from watcher.kit import clock, http_dates, wire
from watcher.kit.trust import Trust
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
        default=None, description="PEM file of the authorities to trust instead of the system's (`SSL_CERT_FILE`)."
    )
    cert_file: str | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: str | None = Field(default=None, description="PEM file of the client certificate's key.")


class Polled(Connection):
    """A connection to what is asked again and again: sources and ticket systems."""

    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=6000,
        description="Most requests in any minute, by all watches and all replicas together; without it no limit.",
    )


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read whole; header names are lower case.

    `clock_behind`: seconds by which the server's clock is behind ours, by its `Date`; negative: ahead; 0: not known.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    clock_behind: float = 0.0

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


class _LimitedAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        wire.limit(self.poolmanager)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {} if self._context is None else {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, *_arguments: Any, **_more: Any) -> None:
        """Nothing: its base would have the authorities that come with `requests` read for every connection."""


class HttpClient:
    """A door to the services of one adapter; safe to use from several threads.

    Where the connection has an address of its own (`url`), no request goes anywhere else, whatever an answer said.
    """

    def __init__(self, connection: Connection, observer: Observer = _unobserved) -> None:
        self._connection = connection
        self._observer = observer
        self._origin = _origin_of(connection)
        files = connection.ca_file, connection.cert_file, connection.key_file
        self._trust = Trust(*files, fallback=requests.utils.DEFAULT_CA_BUNDLE_PATH)

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
            self._check_address(url)
            with requests.Session() as session:
                session.trust_env = False
                session.mount("http://", _LimitedAdapter(None))
                session.mount("https://", _LimitedAdapter(self._context(url)))
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
                    timeout=urllib3.Timeout(total=limit),  # type: ignore[arg-type]  # requests takes it as it is
                    stream=True,
                    allow_redirects=False,
                ) as answer:
                    behind = http_dates.clock_behind(answer.headers)  # before the body, which may take its time
                    body = _read(answer, began + limit, max_bytes or self._connection.max_bytes, _host(url))
                    return _checked(answer, body, _host(url), behind)
        except ExternalError as error:
            fault = error.fault
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            classified = _classify(error, _host(url))
            fault = classified.fault
            raise classified from None  # the original text may hold the URL with its query
        finally:
            self._observer(_host(url), clock.monotonic() - began, fault)

    def _check_address(self, url: str) -> None:
        if self._origin is not None and origin(url) != self._origin:
            raise ExternalError(
                f"{_host(url)}: not the configured address", fault=Fault.FORBIDDEN_ADDRESS, permanent=True, sent=False
            )

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"user-agent": "deploy-watch", "accept-encoding": "identity"}
        headers |= {name: value.get_secret_value() for name, value in self._connection.headers.items()}
        if self._connection.bearer_token:
            headers["authorization"] = f"Bearer {self._connection.bearer_token.get_secret_value()}"
        return headers | dict(extra or {})

    def _auth(self) -> tuple[str, str] | None:
        user, password = self._connection.username, self._connection.password
        return (user, password.get_secret_value() if password else "") if user is not None else None

    def _context(self, url: str) -> ssl.SSLContext | None:
        if urlsplit(url).scheme.lower() != "https":
            return None
        try:
            return self._trust.context()
        except OSError as error:
            what = f"{_host(url)}: ca_file, cert_file or key_file cannot be used"
            raise ExternalError(
                f"{what}: {error.strerror or 'no PEM file of its kind'}", fault=Fault.TLS, permanent=False, sent=False
            ) from None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """What must be the same for two addresses to be one server's: scheme, host, port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _origin_of(connection: Connection) -> tuple[str, str | None, int | None] | None:
    url = getattr(connection, "url", None)
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    return origin(text) if isinstance(text, str) else None


def _read(answer: requests.Response, deadline: float, cap: int, host: str) -> bytes:
    promised = answer.headers.get("content-length", "")
    if promised.isascii() and promised.isdigit() and int(promised) > cap:
        raise ExternalError(f"{host}: the answer is larger than {cap} bytes", fault=Fault.TOO_LARGE, permanent=True)
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


def _checked(answer: requests.Response, body: bytes, host: str, behind: float) -> Response:
    status = answer.status_code
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if status < 300:
        return Response(status, headers, body, behind)
    if status < 400:
        raise ExternalError(f"{host}: answered {status}, a redirect", fault=Fault.REDIRECT, permanent=True)
    fault = {401: Fault.UNAUTHORIZED, 403: Fault.UNAUTHORIZED, 429: Fault.RATE_LIMITED}.get(status, Fault.STATUS)
    raise HttpStatusError(
        f"{host}: answered {status}",
        fault=fault,
        permanent=status in _PERMANENT,
        retry_after=http_dates.retry_after(headers),
        response=Response(status, headers, body),
    )


class HttpStatusError(ExternalError):
    """An answer of 400 or more; the adapter may read `response` for the vendor's own words."""

    def __init__(
        self, message: str, *, fault: Fault, permanent: bool, retry_after: float | None, response: Response
    ) -> None:
        super().__init__(message, fault=fault, permanent=permanent, retry_after=retry_after)
        self.response = response


def _classify(error: Exception, host: str) -> ExternalError:
    broke = isinstance(error.args[0] if error.args else None, wire.BrokenTlsError)
    if broke or isinstance(error, requests.exceptions.SSLError):
        words = "TLS broke after the request" if broke else f"TLS failed{_doubt(error)}"
        return ExternalError(f"{host}: {words}", fault=Fault.TLS, permanent=False, sent=broke)
    if isinstance(error, requests.ConnectTimeout):
        return ExternalError(f"{host}: no connection in time", fault=Fault.TIMEOUT, permanent=False, sent=False)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return ExternalError(f"{host}: no answer in time", fault=Fault.TIMEOUT, permanent=False)
    if isinstance(error, ValueError) and not isinstance(
        error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError
    ):
        return _refused(error, host)
    if isinstance(_cause(error), urllib3.exceptions.NewConnectionError):
        words = "connection refused" if "refused" in repr(error).lower() else "no connection"
        return ExternalError(f"{host}: {words}", fault=Fault.CONNECTION, permanent=False, sent=False)
    return ExternalError(f"{host}: the connection broke", fault=Fault.CONNECTION, permanent=False)


def _cause(error: Exception) -> Exception | None:
    """What `requests` was told by the library below it."""
    return getattr(error.args[0] if error.args else None, "reason", None)


def _doubt(error: Exception) -> str:
    """What is wrong with a certificate, in OpenSSL's words: expired, of another name, signed by nobody we trust."""
    wrong = next(iter(getattr(_cause(error), "args", ())), None)
    return f": {wrong.verify_message}" if isinstance(wrong, ssl.SSLCertVerificationError) else ""


def _refused(error: ValueError, host: str) -> ExternalError:
    """What the libraries would not have: our request, or the headers of the answer to it."""
    if isinstance(error.args[0] if error.args else None, urllib3.exceptions.InvalidHeader):
        return ExternalError(f"{host}: an answer with wrong headers", fault=Fault.MALFORMED, permanent=False)
    return ExternalError(f"{host}: not a request that can be sent", fault=Fault.QUERY, permanent=True, sent=False)

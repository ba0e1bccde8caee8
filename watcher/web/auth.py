"""Who may do what: bearer tokens with scopes, the page's signed session, people whom a trusted proxy has signed in, and
the guard against other sites' scripts.

Secrets are compared as digests of bytes, every one of them, so that neither content nor order shows in the time.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPBearer

from watcher.errors import UnauthenticatedError
from watcher.kit import clock
from watcher.kit.outside import is_clean
from watcher.store import sessions
from watcher.web import answers, cookies
from watcher.web.clients import single
from watcher.web.context import Token, Web, web_of
from watcher.web.limits import Limiter, TooManyFailuresError

READ, DEPLOY, APPROVE = "read", "deploy", "approve"
SCOPES = frozenset({READ, DEPLOY, APPROVE})
SESSION_SECONDS = 12 * 3600
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = "local user"  # whoever reaches loopback without a token, in the audit log
_LONGEST_NAME = 100
_ADDED_BY_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")

_scheme = HTTPBearer(auto_error=False, description="A token of the configuration, with the scope that the call needs.")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `bearer`: proved by a header that no browser adds by itself; `session`: by the page's cookie;
    `forwarded`: by a trusted proxy's word.
    """

    name: str
    scopes: frozenset[str]
    bearer: bool = False
    session: bool = False
    forwarded: bool = False


def principal(request: Request) -> Principal | None:
    """Who asks, or None for somebody unknown.

    Raises:
        UnauthenticatedError: a bearer token was shown, and it is none of ours; or a name, and by no trusted proxy.
    """
    web = web_of(request)
    open_scopes = _open_scopes(request, web)
    shown = _single(request, "authorization")
    scheme, _, credentials = (shown or "").partition(" ")
    user = _single(request, web.proxies.user_header) if web.proxies.user_header else None
    if scheme.lower() == "bearer" or (shown is not None and user is None):
        shown_token = _bearer(request, web, scheme, credentials)
        return Principal(shown_token.name, shown_token.scopes | open_scopes, bearer=True)
    if user is not None:
        return Principal(_forwarded_name(request, web, user), web.proxies.user_scopes, forwarded=True)
    session = cookies.read(request, cookies.SESSION)
    token = read_session(web.tokens, session, web.now())
    if token is not None and not _is_ended(web, session):
        return Principal(token.name, token.scopes | open_scopes, session=True)
    return Principal(_LOCAL, open_scopes) if open_scopes else None


@contextmanager
def proving(request: Request) -> Iterator[None]:
    """Around the moment in which a secret is looked at that can be guessed: wrong ones are counted.

    Raises:
        HTTPException: 429, it was not looked at.
    """
    limiter: Limiter = request.app.state.limiter
    try:
        with limiter.proving(web_of(request).proxies.client(request.scope), clock.monotonic()):
            yield
    except TooManyFailuresError as error:
        raise answers.too_often(error.seconds) from None


def _bearer(request: Request, web: Web, scheme: str, credentials: str) -> Token:
    with proving(request):
        token = _match(web.tokens, credentials.strip().encode("latin-1", "replace"))
        if scheme.lower() != "bearer" or token is None:
            raise UnauthenticatedError("unauthenticated")
        return token


def _single(request: Request, header: str) -> str | None:
    try:
        return single(request.scope["headers"], header)
    except ValueError:
        raise UnauthenticatedError("unauthenticated") from None


def _forwarded_name(request: Request, web: Web, user: str) -> str:
    name = user.encode("latin-1").decode("utf-8", "replace").strip()
    if not web.proxies.trusted(request.scope) or not is_clean(name, _LONGEST_NAME):
        raise UnauthenticatedError("unauthenticated")
    return name


def require(scope: str) -> Callable[[Request], Principal]:
    """A dependency: the principal, who has `scope`; else 401 or 403. For a change, also that no other site asked."""

    def check(request: Request) -> Principal:
        who = principal(request)
        if who is None:
            raise UnauthenticatedError("unauthenticated")
        if request.method not in _SAFE and not who.bearer:
            check_origin(request, must=who.session or who.forwarded)
        if scope not in who.scopes:
            raise HTTPException(403, f"this needs a token with the scope {scope}")
        return who

    return check


# `Security` puts the padlock into the OpenAPI document; `require` does the work.
Reader = Annotated[Principal, Depends(require(READ))]
Deployer = Annotated[Principal, Depends(require(DEPLOY))]
Approver = Annotated[Principal, Depends(require(APPROVE))]
documented = Security(_scheme)


def sign_in(request: Request, web: Web, secret: str) -> str:
    """A session for the token with this secret.

    Raises:
        UnauthenticatedError: it is none of ours.
    """
    with proving(request):
        token = _match(web.tokens, secret.strip().encode("utf-8", "replace"))
        if token is None:
            raise UnauthenticatedError("unauthenticated")
        return make_session(token, web.now() + SESSION_SECONDS)


def end_session(web: Web, session: str) -> None:
    """Ends a session before its time; what is none is left alone, so that only who has one can fill the store."""
    if read_session(web.tokens, session, web.now()) is not None:
        with web.database.write() as tx:
            sessions.end(tx, _digest(session), int(session.split(".")[1]), web.now())


def _is_ended(web: Web, session: str) -> bool:
    with web.database.read() as tx:
        return sessions.is_ended(tx, _digest(session))


def _digest(session: str) -> str:
    # Of the signature alone: the rest can be written in several ways.
    return hashlib.sha256(session.rpartition(".")[2].encode("utf-8", "replace")).hexdigest()


def make_session(token: Token, expires_at: float) -> str:
    """`name.expiry.nonce.signature`: signed with the token's secret, so that it ends with the token."""
    name = urlsafe_b64encode(token.name.encode()).decode()
    nonce = secrets.token_hex(16)
    return f"{name}.{int(expires_at)}.{nonce}.{_signature(token, int(expires_at), nonce)}"


def read_session(tokens: tuple[Token, ...], session: str, now: float) -> Token | None:
    """The token that a session stands for; None if it is forged, over, or its token gone."""
    try:
        encoded, expiry, nonce, signature = session.split(".")
        name, expires_at = urlsafe_b64decode(encoded.encode()).decode(), int(expiry)
    except (ValueError, binascii.Error):
        return None
    for token in tokens:
        expected = _signature(token, expires_at, nonce)
        if token.name == name and _same(signature.encode("utf-8", "replace"), expected.encode()):
            return token if now < expires_at else None
    return None


def check_origin(request: Request, *, must: bool) -> None:
    """Refuses (403) what a page of another site has sent; `must`: also what does not say where it comes from."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is None and not must and site in (None, "same-origin", "none"):
        return
    if origin is not None and _netloc(origin) in {_host(request), _netloc(web_of(request).external_url)} - {""}:
        return
    raise HTTPException(403, "this was asked from another site")


def _open_scopes(request: Request, web: Web) -> frozenset[str]:
    """What needs no token. The host must be loopback: another site's name that resolves to it is another site. Who
    comes through a proxy is not local, wherever the proxy is, and whether we know it or only see what proxies add.
    """
    if not web.loopback or web.proxies.trusted(request.scope) or not _is_loopback(_host(request)):
        return frozenset()
    if any(name in request.headers for name in _ADDED_BY_PROXIES):
        return frozenset()
    return frozenset({READ}) if web.tokens else SCOPES


def _is_loopback(netloc: str) -> bool:
    try:
        host = urlsplit(f"//{netloc}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(request: Request) -> str:
    return request.headers.get("host", "").lower()


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _match(tokens: tuple[Token, ...], shown: bytes) -> Token | None:
    found = None
    for token in tokens:
        if _same(shown, token.secret.get_secret_value().encode()) and shown:
            found = token
    return found


def _same(left: bytes, right: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(left).digest(), hashlib.sha256(right).digest())


def _signature(token: Token, expires_at: int, nonce: str) -> str:
    message = f"deploy-watch session\n{token.name}\n{expires_at}\n{nonce}".encode("utf-8", "replace")
    return hmac.new(token.secret.get_secret_value().encode(), message, hashlib.sha256).hexdigest()

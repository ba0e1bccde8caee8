"""Sections of the file that are read one by one: server, store, and the named adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from typing import Any

from pydantic import SecretStr

from watcher import registry
from watcher.kit.outside import is_web_url
from watcher.settings import shapes
from watcher.settings.document import Path
from watcher.settings.options import (
    HeartbeatOptions,
    LimitsOptions,
    ProxyOptions,
    ServerOptions,
    StoreOptions,
    TokenOptions,
)
from watcher.settings.report import Report
from watcher.settings.types import Adapter, Server, Token, host_of, is_loopback
from watcher.web.clients import Proxies
from watcher.web.limits import Rates

ADAPTER_SECTIONS = ("hooks", "sources", "ticket_systems", "notifiers")

_TAKEN = frozenset({"authorization", "cookie", "host", "origin", "x-forwarded-for"})
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@?#\s]+)):(\d{1,5})", re.ASCII)
_POSTGRESQL = re.compile(r"(?:postgres|postgresql)(?=://)")
# No `@` in the host: it would be the rest of a password, and a name that is looked up is told when it is not found.
_DATABASE_URL = re.compile(
    r"postgresql\+psycopg://(?:[^:/@]*(?::[^@]*)?@)?(?:\[[0-9A-Fa-f:.]+\]|[^:/?@\[\]]+)?(?::(\d{1,5}))?(?:[/?].*)?",
    re.ASCII,
)
_IN_MEMORY = frozenset({"", ":memory:"})


def server(raw: Mapping[str, Any], report: Report) -> Server | None:
    path: Path = ("server",)
    options = report.validated(ServerOptions, raw, path)
    if options is None:
        return None
    tokens = _tokens(options.tokens, (*path, "tokens"), report)
    proxies = _proxies(options.proxy, (*path, "proxy"), report)
    found = _LISTEN.fullmatch(options.listen)
    port = int(found[3]) if found else 0
    if found is None or port > 65535:
        report.add((*path, "listen"), "not an address (expected host:port such as 127.0.0.1:8080)")
        return None
    host = found[1] or found[2]
    _check_reach(options, host, report)
    url = (options.external_url or f"http://{options.listen}").rstrip("/")
    if not is_web_url(url):
        report.add((*path, "external_url"), "not a URL (expected one such as https://watcher.example.com)")
    return Server(
        host=host,
        port=port,
        external_url=url,
        tokens=tokens,
        max_body=options.max_body,
        proxies=proxies,
        rates=Rates(options.requests_per_minute, options.failures_per_minute),
    )


def _proxies(options: ProxyOptions | None, path: Path, report: Report) -> Proxies:
    if options is None:
        return Proxies()
    networks = []
    for index, text in enumerate(options.addresses):
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:
            report.add((*path, "addresses", index), "not an address (expected one such as 10.0.0.7, or 10.0.0.0/8)")
        else:
            networks.append(network)
    header = (options.user_header or "").lower()
    if not header and "user_scopes" in options.model_fields_set:
        report.add((*path, "user_scopes"), "means nothing without user_header (expected both, or none)")
    if header in _TAKEN:
        report.add((*path, "user_header"), "has another meaning (expected a header such as X-Forwarded-User)")
    return Proxies(tuple(networks), header, frozenset(options.user_scopes) if header else frozenset())


def _check_reach(options: ServerOptions, host: str, report: Report) -> None:
    """Whoever can be reached from elsewhere needs to know who asks."""
    url = options.external_url
    if is_loopback(host) and (url is None or not is_web_url(url) or is_loopback(host_of(url))):
        return
    people = options.proxy is not None and options.proxy.user_header is not None
    if not people and not any("read" in token.scopes for token in options.tokens):
        expected = "or listen on 127.0.0.1"
        if is_loopback(host):
            expected = "server.proxy with a user_header, or an external_url of this machine"
        report.add(
            ("server", "tokens"),
            f"the server can be reached from other machines (expected a token with the scope read, {expected})",
        )
    if url is None:
        report.warn(("server", "listen"), "without server.external_url the links in notes lead nowhere from outside")


def _tokens(options: tuple[TokenOptions, ...], path: Path, report: Report) -> tuple[Token, ...]:
    names: set[str] = set()
    texts: set[str] = set()
    for index, option in enumerate(options):
        text = option.token.get_secret_value()
        if option.name in names:
            report.add((*path, index, "name"), "another token has this name (expected a name of its own)")
        if text in texts:
            report.add((*path, index, "token"), "another token is the same (expected a token of its own)")
        if not (text.isascii() and text.isprintable() and " " not in text):
            report.add((*path, index, "token"), "cannot be sent in a header (expected visible ASCII without spaces)")
        names.add(option.name)
        texts.add(text)
    return tuple(Token(option.name, option.token, frozenset(option.scopes)) for option in options)


def store(raw: Mapping[str, Any], report: Report) -> tuple[SecretStr, float] | None:
    """The SQLAlchemy URL of the store, and for how many seconds it keeps what is raw."""
    options = report.validated(StoreOptions, raw, ("store",))
    if options is None:
        return None
    if options.url is not None and options.path is not None:
        report.add(("store",), "has both path and url (expected one of them)")
    if options.url is None:
        path = options.path or "watcher.db"
        if "?" in path or "\0" in path:  # what follows a `?` would be options of the connection
            report.add(("store", "path"), "not a file name (expected one without '?')")
        if path in _IN_MEMORY:
            report.add(("store", "path"), "kept in memory, and so lost at the end (expected a file)")
        return SecretStr(f"sqlite:///{path}"), options.retention
    url = _POSTGRESQL.sub("postgresql+psycopg", options.url.get_secret_value(), count=1)
    _check_database(url, report)
    return SecretStr(url), options.retention


def _check_database(url: str, report: Report) -> None:
    """Refused here, where no message repeats it: what cannot be parsed later is told with the password in it."""
    path: Path = ("store", "url")
    if url.startswith("sqlite:///"):
        if url.removeprefix("sqlite:///").partition("?")[0] in _IN_MEMORY:
            report.add(path, "kept in memory, and so lost at the end (expected sqlite:///file)")
        return
    found = _DATABASE_URL.fullmatch(url)
    if found is None or not 0 < int(found[1] or 1) <= 65535:
        report.add(
            path,
            "not a database that can be used (expected sqlite:///file or postgresql://user:password@host/database, "
            "with %40 for an @ in the password)",
        )


def heartbeat(raw: Mapping[str, Any], report: Report, *, given: bool) -> HeartbeatOptions | None:
    """What is called while all is well; None if the section is not there."""
    return report.validated(HeartbeatOptions, raw, ("heartbeat",)) if given else None


def rollbacks_per_hour(raw: Mapping[str, Any], report: Report) -> int:
    """The budget of all services together."""
    options = report.validated(LimitsOptions, raw, ("limits",))
    return (options or LimitsOptions()).rollbacks_per_hour


# Looking through what is installed takes longer than reading the file.
kinds_of = cache(registry.kinds)


@dataclass(frozen=True, slots=True)
class Known:
    """What services may refer to.

    Attributes:
        adapters: section -> name -> adapter, where it is right.
        kinds: section -> every configured name -> its kind, None if that is not known.
    """

    adapters: Mapping[str, Mapping[str, Adapter]]
    kinds: Mapping[str, Mapping[str, str | None]]


def known(top: Mapping[str, Mapping[str, Any]], report: Report) -> Known:
    """Reads the sections of named adapters."""
    adapters: dict[str, dict[str, Adapter]] = {}
    kinds: dict[str, dict[str, str | None]] = {}
    for section in ADAPTER_SECTIONS:
        raw = top.get(section, {})
        right = [(name, adapter(section, value, (section, name), report)) for name, value in raw.items()]
        adapters[section] = {name: one for name, one in right if report.name((section, name)) and one is not None}
        kinds[section] = {name: _kind(section, value) for name, value in raw.items()}
    for name in kinds["ticket_systems"].keys() & kinds["sources"].keys():
        # Signals, errors and metrics speak of both by name alone.
        report.add(("ticket_systems", name), "a source has this name too (expected a name of its own)")
    return Known(adapters, kinds)


def _kind(section: str, value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and kind in kinds_of(section) else None


def adapter(section: str, value: object, path: Path, report: Report) -> Adapter | None:
    """The adapter at `path`, named by the last part of it that is a name of its own."""
    kinds = kinds_of(section)
    raw = report.mapping(value, path, f"a mapping with kind: {shapes.one_of(kinds)}")
    if not isinstance(value, dict):
        return None
    kind = raw.get("kind")
    if "kind" not in raw or kind is None:
        report.add((*path, "kind"), f"is missing (expected {shapes.one_of(kinds)})")
        return None
    if not isinstance(kind, str) or kind not in kinds:
        report.unknown((*path, "kind"), "kind", kind, kinds, "an adapter")
        return None
    model = registry.adapter(section, kind).Options
    options = report.validated(model, {key: item for key, item in raw.items() if key != "kind"}, path)
    return None if options is None else Adapter(str(path[1]), kind, options)

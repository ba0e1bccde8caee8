"""Who is at the other end: the address that asks, seen through the reverse proxies that the configuration trusts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_HOME = 64  # bits: what one customer of a provider has, to change addresses in
_MOST_HOPS = 20


@dataclass(frozen=True, slots=True)
class Proxies:
    """The reverse proxies in front of us.

    Attributes:
        networks: where they are; what they say of the client is believed, what anybody else says is not.
        user_header: header, in lower case, in which they name the person whom they have signed in; empty: none.
        user_scopes: what such a person may do.
    """

    networks: tuple[Network, ...] = ()
    user_header: str = ""
    user_scopes: frozenset[str] = frozenset()

    def trusted(self, scope: Scope) -> bool:
        """Whether the request comes from one of them."""
        address = _peer(scope)
        return address is not None and self._ours(address)

    def client(self, scope: Scope) -> str:
        """A name for who asks, by which requests are counted: an address, or the home network of an IPv6 one."""
        address = _peer(scope)
        if address is not None and self._ours(address):
            address = self._forwarded(scope, address)
        return _home(address)

    def _forwarded(self, scope: Scope, proxy: Address) -> Address:
        """From the right, the first address that is no trusted proxy's: anybody may have written what is before it."""
        said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        nearest = proxy
        for hop in reversed(said.decode("latin-1").split(",")[-_MOST_HOPS:]):
            address = _parsed(hop)
            if address is None:
                break
            nearest = address
            if not self._ours(address):
                break
        return nearest

    def _ours(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def home(address: str) -> str:
    """A name for who has this address: itself, or the home network of an IPv6 one."""
    return _home(_parsed(address))


def single(headers: Sequence[tuple[bytes, bytes]], name: str) -> str | None:
    """The value of the header `name`; None if it is missing.

    Raises:
        ValueError: it stands there twice, and neither is to be believed.
    """
    found = [value for key, value in headers if key == name.encode("latin-1")]
    if len(found) > 1:
        raise ValueError(f"{name} stands there {len(found)} times")
    return found[0].decode("latin-1") if found else None


def _home(address: Address | None) -> str:
    if address is None:
        return "unknown"
    if address.version == 6:
        return str(ipaddress.ip_network((address, _IPV6_HOME), strict=False))
    return str(address)


def _peer(scope: Mapping[str, object]) -> Address | None:
    client = scope.get("client")
    return _parsed(str(client[0])) if isinstance(client, tuple | list) and client else None


def _parsed(text: str) -> Address | None:
    """An address as proxies write it: `192.0.2.1`, `192.0.2.1:5000`, `2001:db8::1`, `[2001:db8::1]:5000`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address

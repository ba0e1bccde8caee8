"""Signatures of webhooks, ours and others'.

What a sender controls is compared as bytes, in constant time, and cannot raise anything but `UnauthenticatedError`.

Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr, WithJsonSchema

from watcher.errors import UnauthenticatedError

TOLERANCE = 300.0  # seconds that a signed time may lie before or after ours
_PREFIX = "whsec_"
_MOST_SECRETS = 4
_MOST_SIGNATURES = 16  # a sender that rotates its secret sends two


def signing_key(secret: str) -> bytes:
    """The key in `secret`: base64 after `whsec_`, any other text as UTF-8.

    Raises:
        ValueError: it is empty, or what follows `whsec_` is no base64; the text never holds the secret.
    """
    if not secret.startswith(_PREFIX):
        return plain_key(secret)
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("expected base64 after whsec_") from None
    if not key:
        raise ValueError("expected base64 after whsec_")
    return key


def plain_key(secret: str) -> bytes:
    """`secret` as UTF-8, whatever it begins with; ValueError if it is empty or has white space around it."""
    if not secret or secret != secret.strip():
        raise ValueError("expected text without white space around it, and not empty")
    return _bytes(secret)


def equal(a: str | bytes, b: str | bytes) -> bool:
    """Whether both are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(a), _bytes(b))


def sign_standard(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = _bytes(f"{message_id}.{timestamp}.") + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def verify_standard(keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Any one of the sender's signatures by any one of our keys is enough, so that either side can rotate.

    Raises:
        UnauthenticatedError: none is right, or the signed time is over five minutes away from `now`.
    """
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not headers.get(name)]
    if missing:
        raise UnauthenticatedError(f"{missing[0]} is missing")
    stamp = headers["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise UnauthenticatedError("webhook-timestamp is not in whole unix seconds")
    given = headers["webhook-signature"].split(" ")[:_MOST_SIGNATURES]
    if any(part.endswith(",") for part in given):
        raise UnauthenticatedError("webhook-signature stands there twice")
    expected = [sign_standard(key, headers["webhook-id"], int(stamp), body) for key in keys]
    if str(int(stamp)) != stamp or not _any_equal(expected, given):
        raise UnauthenticatedError("webhook-signature is not right for this id, time and body")
    if abs(now - int(stamp)) > TOLERANCE:
        raise UnauthenticatedError("webhook-timestamp is more than 5 minutes away from our clock")


def verify_hex(
    keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, *, header: str, prefix: str = "sha256="
) -> None:
    """The header must hold `prefix` and the hexadecimal HMAC-SHA256 of the body by any one of our keys.

    Raises:
        UnauthenticatedError: it does not.
    """
    given = headers.get(header)
    if not given:
        raise UnauthenticatedError(f"{header} is missing")
    if not _any_equal([prefix + hmac.new(key, body, hashlib.sha256).hexdigest() for key in keys], [given]):
        raise UnauthenticatedError(f"{header} is not right for this body")


def verify_bearer(tokens: Iterable[str], headers: Mapping[str, str]) -> None:
    """The `authorization` header must hold any one of our tokens.

    Raises:
        UnauthenticatedError: it does not.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise UnauthenticatedError("authorization has no bearer token")
    if not _any_equal(list(tokens), [given.strip()]):
        raise UnauthenticatedError("the bearer token is not right")


def _any_equal(expected: list[str], given: list[str]) -> bool:
    # All pairs are compared, so that the time does not tell which one was right.
    return any([equal(ours, theirs) for ours in expected for theirs in given])  # noqa: C419


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | SecretStr) else value


def _signing(secret: SecretStr) -> SecretStr:
    signing_key(secret.get_secret_value())
    return secret


def _plain(secret: SecretStr) -> SecretStr:
    plain_key(secret.get_secret_value())
    return secret


def _bearing(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected printable ASCII without spaces, and not empty")
    return secret


def _few(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not 1 <= len(secrets) <= _MOST_SECRETS:
        raise ValueError(f"expected one secret, or a list of up to {_MOST_SECRETS}")
    return secrets


_ONE_OR_MORE = (
    AfterValidator(_few),
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "password"},
                {
                    "type": "array",
                    "items": {"type": "string", "format": "password"},
                    "minItems": 1,
                    "maxItems": _MOST_SECRETS,
                },
            ]
        }
    ),
)
SigningSecret = Annotated[SecretStr, AfterValidator(_signing)]
# In a configuration: one secret, or a list of up to four that are all valid, for rotation.
SigningSecrets = Annotated[tuple[SigningSecret, ...], *_ONE_OR_MORE]
PlainSecrets = Annotated[tuple[Annotated[SecretStr, AfterValidator(_plain)], ...], *_ONE_OR_MORE]
BearerTokens = Annotated[tuple[Annotated[SecretStr, AfterValidator(_bearing)], ...], *_ONE_OR_MORE]

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from watcher.errors import UnauthenticatedError
from watcher.kit.signatures import (
    BearerTokens,
    PlainSecrets,
    SigningSecrets,
    equal,
    sign_standard,
    signing_key,
    verify_bearer,
    verify_hex,
    verify_standard,
)

# The vector that the Standard Webhooks libraries share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
STAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEY = signing_key(SECRET)


def headers(**changes: str) -> dict[str, str]:
    good = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(STAMP), "webhook-signature": SIGNATURE}
    return good | {f"webhook-{name}": value for name, value in changes.items()}


def test_signs_as_the_published_vector() -> None:
    assert sign_standard(KEY, MESSAGE_ID, STAMP, BODY) == SIGNATURE


def test_github_published_vector() -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    verify_hex(
        [b"It's a Secret to Everybody"],
        {"x-hub-signature-256": signature},
        b"Hello, World!",
        header="x-hub-signature-256",
    )


@pytest.mark.parametrize("away", [0, 300, -300])
def test_accepts_up_to_five_minutes_both_ways(away: float) -> None:
    verify_standard([KEY], headers(), BODY, STAMP + away)


@pytest.mark.parametrize("away", [301, -301, 1e9])
def test_refuses_another_time_even_with_the_right_signature(away: float) -> None:
    with pytest.raises(UnauthenticatedError, match="5 minutes"):
        verify_standard([KEY], headers(), BODY, STAMP + away)


def test_either_side_can_rotate() -> None:
    older = signing_key("the older one")
    verify_standard([older, KEY], headers(), BODY, STAMP)
    both = f"{sign_standard(older, MESSAGE_ID, STAMP, BODY)} {SIGNATURE}"
    verify_standard([KEY], headers(signature=both), BODY, STAMP)
    verify_standard([KEY], headers(signature=f"v1a,bm90IG91cnM= {SIGNATURE}"), BODY, STAMP)


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "v1,"},
        {"signature": SIGNATURE.removeprefix("v1,")},
        {"signature": SIGNATURE.replace("v1,", "v2,")},
        {"signature": SIGNATURE[:-1]},
        {"signature": "v1,né"},
        {"signature": "\ud800"},
        {"signature": "[" + SIGNATURE + "]"},
        {"signature": f"{SIGNATURE}, {SIGNATURE}"},  # the header twice, as the web room joins it
        {"signature": f"v1,AAAA, {SIGNATURE}"},
        {"signature": "v1,AAAA " * 100 + SIGNATURE},
        {"id": ""},
        {"id": "msg_other"},
        {"id": "\udcff"},
        *({"timestamp": stamp} for stamp in ("", "nan", "inf", "-1", "1e9", "1614265330.0", " 1614265330", "9" * 400)),
        {"timestamp": f"{STAMP}, {STAMP}"},
        {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek, msg_p5jXN8AQM9LWM0D4loKWxJek"},
        *({"timestamp": stamp} for stamp in ("01614265330", "١٦١٤٢٦٥٣٣٠", "1614265331")),
    ],
)
def test_refuses_whatever_is_not_exactly_right(changes: Mapping[str, str]) -> None:
    with pytest.raises(UnauthenticatedError):
        verify_standard([KEY], headers(**changes), BODY, STAMP)


def test_refuses_another_body_and_no_keys() -> None:
    for keys, body in (([KEY], BODY + b" "), ([], BODY)):
        with pytest.raises(UnauthenticatedError):
            verify_standard(keys, headers(), body, STAMP)


@given(st.dictionaries(st.sampled_from([*headers(), "authorization", "x-sig"]), st.text()), st.binary())
def test_no_header_raises_anything_else(given_headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(UnauthenticatedError):
        verify_standard([KEY], given_headers, body, STAMP)
    with pytest.raises(UnauthenticatedError):
        verify_hex([KEY], given_headers, body, header="x-sig")
    with pytest.raises(UnauthenticatedError):
        verify_bearer(["right"], given_headers)


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic right", "right", "Bearer wrong", "Bearer right right"]
)
def test_bearer_refuses(value: str) -> None:
    with pytest.raises(UnauthenticatedError):
        verify_bearer(["right", "new"], {"authorization": value})


@pytest.mark.parametrize("value", ["Bearer right", "bearer new", "BEARER  right"])
def test_bearer_accepts_any_of_its_tokens(value: str) -> None:
    verify_bearer(["right", "new"], {"authorization": value})


@given(st.text(), st.text())
def test_equal_is_equality(a: str, b: str) -> None:
    assert equal(a, b) == (a == b)
    assert equal(a, a)


class Config(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    signing: SigningSecrets = ()
    plain: PlainSecrets = ()
    token: BearerTokens = ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signing", "whsec_"),
        ("signing", "whsec_hunter2*hunter2"),
        ("signing", "whsec_aHVudGVyMg"),
        ("signing", [SECRET, "whsec_hunter2"]),
        ("signing", ""),
        ("signing", []),
        ("signing", [SECRET] * 5),
        ("signing", 17),
        ("plain", " hunter2"),
        ("plain", "hunter2\n"),
        ("token", "hunter2 hunter2"),
        ("token", "hunter2\n"),
        ("token", "hünter2"),
        ("token", ""),
    ],
)
def test_unusable_secrets_are_refused_without_being_shown(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        Config.model_validate({field: value})
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in "".join(problem["msg"] for problem in error.value.errors())


def test_one_secret_or_a_list_and_none_of_them_shown() -> None:
    config = Config.model_validate({"signing": SECRET, "plain": ["hunter2", "hunter3"], "token": "hunter4"})
    assert [secret.get_secret_value() for secret in config.plain] == ["hunter2", "hunter3"]
    assert len(config.signing) == 1
    assert "hunter" not in repr(config) + str(config) + config.model_dump_json()
    assert SECRET not in repr(config)


def test_the_json_schema_takes_both_forms() -> None:
    import jsonschema

    schema = Config.model_json_schema()
    for good in ({"token": "a"}, {"token": ["a", "b"]}):
        jsonschema.validate(good, schema)
    refused: tuple[dict[str, object], ...] = ({"token": []}, {"token": 1}, {"token": ["a"] * 5})
    for bad in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
    assert json.dumps(schema)

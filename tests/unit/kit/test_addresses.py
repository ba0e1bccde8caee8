from __future__ import annotations

import base64

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from watcher.kit.addresses import BaseUrl, WebUrl, placeholders, quoted_answer
from watcher.kit.http import Connection


class Service(BaseModel):
    base: BaseUrl = "http://x"
    exact: WebUrl = "http://x"


def test_a_base_loses_its_last_slash_and_an_exact_address_keeps_it() -> None:
    assert Service(base="http://prom:9090/prefix/").base == "http://prom:9090/prefix"
    assert Service(exact="http://shop/metrics/").exact == "http://shop/metrics/"


@pytest.mark.parametrize("text", ["prom:9090", "ftp://x", "http://", "http://user:secret@x", "http://a b", ""])
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValidationError, match="not an address"):
        Service(base=text)


def test_placeholders_are_written_in_the_unit_that_is_asked_for() -> None:
    text = "from={start}&to={end}&step={step}&keep={this}"
    assert placeholders(60, 120, 60, "s")(text) == "from=60&to=120&step=60&keep={this}"
    assert placeholders(60, 120, 0.5, "ms")(text) == "from=60000&to=120000&step=0.5&keep={this}"
    assert placeholders(60, 120, 60, "iso")(text).startswith("from=1970-01-01T00:01:00Z&")


def test_what_a_service_says_is_quoted_without_our_secrets() -> None:
    connection = Connection(
        username="bot", password=SecretStr("pass-word"), headers={"x-key": SecretStr("k-e-y")}, bearer_token=None
    )
    basic = base64.b64encode(b"bot:pass-word").decode()
    said = quoted_answer(f"bad\nheaders: Basic {basic} x-key k-e-y pass-word {'x' * 500}", connection, limit=80)
    assert said.startswith("bad headers: Basic *** x-key *** ***")
    assert len(said) <= 80

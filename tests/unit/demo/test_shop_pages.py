import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from watcher.demo.shop import Shop, server
from watcher.demo.wire import CallError, call, call_json


@pytest.fixture
def shop() -> Shop:
    return Shop(time.time(), seed=5, past=600)


@pytest.fixture
def url(shop: Shop) -> Iterator[str]:
    pages = server(shop)
    pages.start()
    yield pages.url
    pages.stop()


def test_a_deploy_switches_the_version(url: str) -> None:
    assert call_json("GET", f"{url}/version")["version"] == "v1"
    assert call_json("POST", f"{url}/deploy", body={"version": "v2"})["version"] == "v2"
    assert b'version="v2"' in call("GET", f"{url}/metrics")


@pytest.mark.parametrize("body", [{"version": "v9"}, {}, [], {"version": ["v1"]}, "v1"])
def test_an_unknown_version_is_refused_with_the_known_ones(url: str, body: object) -> None:
    with pytest.raises(CallError, match=r"400 .*expected one of v1, v2, v3"):
        call("POST", f"{url}/deploy", body=body)
    assert call_json("GET", f"{url}/version")["version"] == "v1"


def test_the_helpdesk_has_a_past_and_hands_out_a_span_of_it(url: str, shop: Shop) -> None:
    now = time.time()
    everything = call_json("GET", f"{url}/tickets")["tickets"]
    assert 120 < len(everything) < 300
    assert [ticket["id"] for ticket in everything] == list(range(1, len(everything) + 1))
    assert [ticket["created_at"] for ticket in everything] == sorted(ticket["created_at"] for ticket in everything)
    some = call_json("GET", f"{url}/tickets?after={now - 300}&until={now - 100}")["tickets"]
    assert 0 < len(some) < len(everything)
    assert call_json("GET", everything[4]["url"]) == everything[4]


def test_a_broken_checkout_is_complained_about_in_words() -> None:
    deployed = 1_780_000_000.0  # fixed: how a span is cut into ticks decides what the seed draws in it
    shop = Shop(deployed, seed=5, past=600)
    shop.deploy("v3", deployed)
    tickets = shop.tickets(deployed + 600, deployed, deployed + 600, "http://shop")
    complaints = [ticket for ticket in tickets if "checkout" in str(ticket["text"])]
    earlier = shop.tickets(deployed + 600, deployed - 600, deployed, "http://shop")
    before = [ticket for ticket in earlier if "checkout" in str(ticket["text"])]
    assert 400 < len(complaints) < len(tickets)
    assert 3 * len(before) < len(complaints)


@pytest.mark.parametrize("path", ["/tickets/0", "/tickets/x", "/tickets/1/2", "/nothing"])
def test_what_is_not_there_is_404(url: str, path: str) -> None:
    with pytest.raises(CallError, match="404"):
        call("GET", url + path)


def test_a_span_that_is_no_number_is_400(url: str) -> None:
    with pytest.raises(CallError, match=r"400 .*unix seconds"):
        call("GET", f"{url}/tickets?after=yesterday")


def test_the_shop_process_says_its_address_and_ends_with_its_standard_input() -> None:
    argv = [sys.executable, "-m", "watcher.demo.shop", "--seed", "1", "--past", "60"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        address = process.stdout.readline().strip()
        assert b"shop_orders_total" in call("GET", f"{address}/metrics")
        process.stdin.close()
        assert process.wait(60) == 0

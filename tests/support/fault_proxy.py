"""A proxy before a real server that lets its answers through, or spoils them as it is told.

with FaultProxy(prometheus.url) as proxy:
    proxy.fault = "drip"          # a name of FAULTS; None lets everything through
"""

from __future__ import annotations

import urllib.error
import urllib.request
from email.utils import formatdate
from time import time
from typing import Self

from support.fault_server import Answer, FaultServer, Request

from watcher.errors import Fault

_TIMES_OUT = 120.0  # much longer than clients in these tests allow

# What the proxy does to an answer -> how that must be told.
FAULTS: dict[str, Fault] = {
    "hangs": Fault.TIMEOUT,
    "headers_drip": Fault.TIMEOUT,
    "body_drips": Fault.TIMEOUT,
    "rate_limited_for_seconds": Fault.RATE_LIMITED,
    "rate_limited_until_a_date": Fault.RATE_LIMITED,
    "internal_error": Fault.STATUS,
    "bad_gateway": Fault.STATUS,
    "unauthorized": Fault.UNAUTHORIZED,
    "sign_in_page": Fault.MALFORMED,
    "half_the_json": Fault.MALFORMED,
    "cut_off": Fault.CONNECTION,
    "numbers_are_words": Fault.MALFORMED,
    "numbers_are_numbers": Fault.MALFORMED,
    "a_gigabyte": Fault.TOO_LARGE,
    "redirect_to_itself": Fault.REDIRECT,
    "redirect_to_a_private_address": Fault.REDIRECT,
    "reset": Fault.CONNECTION,
    "not_http": Fault.CONNECTION,
    "clock_an_hour_behind": Fault.CLOCK_OFF,
    "clock_an_hour_ahead": Fault.CLOCK_OFF,
}
_HTML = {"content-type": "text/html"}


class FaultProxy(FaultServer):
    """`elsewhere` counts requests that followed a redirect."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream
        self.fault: str | None = None
        self.slow = 0.0
        self.elsewhere = 0
        self.answer = self._through

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def _through(self, request: Request) -> Answer:
        if request.path == "/elsewhere":
            self.elsewhere += 1
        if self.fault is None:
            return self._forward(request)
        return self._spoilt(self.fault, request)

    def _forward(self, request: Request) -> Answer:
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        asked = urllib.request.Request(self._upstream + request.path, request.body or None, headers)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return Answer(answer.status, {"content-type": answer.headers["content-type"]}, answer.read(), self.slow)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {"content-type": "application/json"}, error.read())

    def _spoilt(self, fault: str, request: Request) -> Answer:
        simple = {
            "hangs": Answer(delay=_TIMES_OUT),
            "headers_drip": Answer(drip_headers=0.02),
            "rate_limited_for_seconds": Answer(429, {"retry-after": "30"}),
            "internal_error": Answer(500, _HTML, b"<h1>oops</h1>"),
            "bad_gateway": Answer(502, _HTML, b"<h1>bad gateway</h1>"),
            "unauthorized": Answer(401),
            "sign_in_page": Answer(200, _HTML, b"<!doctype html><title>Sign in</title>"),
            "a_gigabyte": Answer(200, {"content-type": "application/json"}, endless=1 << 30),
            "redirect_to_itself": Answer(302, {"location": f"{self.url}/elsewhere"}),
            "redirect_to_a_private_address": Answer(307, {"location": "http://169.254.169.254/latest/meta-data"}),
            "reset": Answer(reset=True),
            "not_http": Answer(garbage=b"SSH-2.0-OpenSSH_9.2\r\n"),
        }
        if fault in simple:
            return simple[fault]
        true = self._forward(request)
        if fault == "rate_limited_until_a_date":  # by a clock that is an hour behind
            said = time() - 3600
            return Answer(
                429, {"retry-after": formatdate(said + 30, usegmt=True), "date": formatdate(said, usegmt=True)}
            )
        if fault.startswith("clock"):
            said = time() + (3600 if fault.endswith("ahead") else -3600)
            return Answer(true.status, {"date": formatdate(said, usegmt=True)} | dict(true.headers), true.body)
        return {
            "body_drips": lambda: Answer(200, true.headers, true.body, drip=1.0),
            "half_the_json": lambda: Answer(200, true.headers, true.body[: len(true.body) // 2]),
            "cut_off": lambda: Answer(200, true.headers, true.body, truncate=True),
            "numbers_are_words": lambda: Answer(200, true.headers, true.body.replace(b'"]', b'many"]')),
            "numbers_are_numbers": lambda: Answer(
                200, true.headers, true.body.replace(b',"', b",").replace(b'"]', b"]")
            ),
        }[fault]()

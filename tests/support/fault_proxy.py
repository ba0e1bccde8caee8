"""A proxy before a real server that lets its answers through, or spoils them as it is told.

with FaultProxy(prometheus.url) as proxy:
    proxy.fault = "drip"          # a name of FAULTS; None lets everything through
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from email.utils import formatdate
from time import time
from typing import Self
from urllib.parse import urlencode

from support.fault_server import Answer, FaultServer, Request
from support.programs import require

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
    "speaks_no_tls": Fault.TLS,
    "certificate_of_nobody": Fault.TLS,
    "certificate_of_another_name": Fault.TLS,
    "certificate_expired": Fault.TLS,
}
# What is wrong with a certificate, as people must be told it; of all but the first the client trusts who signed it.
CERTIFICATES = {
    "certificate_of_nobody": "self-signed certificate",
    "certificate_of_another_name": "IP address mismatch",
    "certificate_expired": "certificate has expired",
}
_HTML = {"content-type": "text/html"}


class FaultProxy(FaultServer):
    """`elsewhere` counts requests that followed a redirect.

    The address is of http, but behind `speaks_no_tls` and a fault of `CERTIFICATES`: see `address` and `trusted`.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream
        self.fault: str | None = None
        self.slow = 0.0
        self.elsewhere = 0
        self.answer = self._through
        self._tls: dict[str, SelfSigned] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for one in self._tls.values():
            one.close()
        super().__exit__(*error)

    def address(self, fault: str | None) -> str:
        """Where clients are to ask while there is that fault."""
        if fault == "speaks_no_tls":
            return self.url.replace("http:", "https:")
        return self._secured(fault).url if fault is not None and fault in CERTIFICATES else self.url

    def trusted(self, fault: str | None) -> str | None:
        """The `ca_file` of clients while there is that fault, so that nothing but what it names is wrong."""
        if fault is None or fault not in CERTIFICATES or fault == "certificate_of_nobody":
            return None
        return self._secured(fault).certificate

    def _secured(self, fault: str) -> SelfSigned:
        if fault not in self._tls:
            self._tls[fault] = SelfSigned(fault)
        return self._tls[fault]

    def _through(self, request: Request) -> Answer:
        if request.path == "/elsewhere":
            self.elsewhere += 1
        if self.fault is None:
            return self._forward(request)
        return self._spoilt(self.fault, request)

    def _forward(self, request: Request) -> Answer:
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        query = f"?{urlencode(request.query, doseq=True)}" if request.query else ""
        asked = urllib.request.Request(self._upstream + request.path + query, request.body or None, headers)
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


class SelfSigned:
    """Speaks TLS with a certificate that it has made for itself, of a kind of `CERTIFICATES`; never gets to see a
    request. `certificate` is its file.
    """

    def __init__(self, kind: str) -> None:
        openssl, faketime = require("openssl", "faketime")
        self._folder = tempfile.TemporaryDirectory(prefix="certificate-")
        key, self.certificate = f"{self._folder.name}/key.pem", f"{self._folder.name}/certificate.pem"
        address = "192.0.2.1" if kind == "certificate_of_another_name" else "127.0.0.1"
        then = [faketime, "3 days ago"] if kind == "certificate_expired" else []
        made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={address}"]
        files = ["-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", self.certificate]
        said = subprocess.run([*then, *made, *files], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)
        self._folder.cleanup()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # closed
                return
            client.settimeout(60)
            with client, contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True) as secure:
                secure.recv(1)

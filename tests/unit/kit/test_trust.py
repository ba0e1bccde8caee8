"""Whom HTTPS believes: the system's authorities, or those of a file, read once."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from watcher.errors import ExternalError, Fault
from watcher.kit.http import Connection, HttpClient


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever does not believe us goes away."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that is its own authority, with its key beside it."""
    folder = tmp_path_factory.mktemp("authority")
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = "-addext subjectAltName=DNS:localhost -keyout key.pem -out ca.pem"
    subprocess.run(["openssl", *made.split(), *names.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def url(authority: Path) -> Iterator[str]:
    server = _Quiet(("127.0.0.1", 0), _Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "ca.pem", authority / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def _fault(client: HttpClient, url: str) -> ExternalError:
    with pytest.raises(ExternalError) as caught:
        client.request("GET", url)
    return caught.value


def test_an_authority_of_the_system_is_trusted(url: str, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fault(HttpClient(Connection()), url).fault is Fault.TLS
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    assert HttpClient(Connection()).request("GET", url).body == b"hello"


def test_the_authorities_of_a_file_are_trusted_instead(url: str, authority: Path, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    shutil.copy(authority / "ca.pem", file)
    client = HttpClient(Connection(ca_file=str(file)))
    assert client.request("GET", url).body == b"hello"
    assert client._trust.context().get_ca_certs()[0]["subject"] == ((("commonName", "localhost"),),)
    assert len(client._trust.context().get_ca_certs()) == 1, "and nobody else"


def test_it_is_read_once_and_again_when_it_has_changed(authority: Path, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    shutil.copy(authority / "ca.pem", file)
    client = HttpClient(Connection(ca_file=str(file)))
    first = client._trust.context()
    assert client._trust.context() is first
    file.write_bytes(file.read_bytes() + b"\n")
    assert client._trust.context() is not first


def test_our_own_certificate_is_shown(authority: Path) -> None:
    files = {"cert_file": str(authority / "ca.pem"), "key_file": str(authority / "key.pem")}
    assert HttpClient(Connection(**files))._trust.context()


def test_a_system_without_authorities_has_those_that_come_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert len(HttpClient(Connection())._trust.context().get_ca_certs()) > 50


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), (b"-----BEGIN CERTIFICATE-----\nx", "")]
)
def test_a_file_that_cannot_be_used_is_told_of(tmp_path: Path, url: str, content: bytes | None, why: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    error = _fault(HttpClient(Connection(ca_file=str(file))), url)
    assert (error.fault, error.sent) == (Fault.TLS, False)
    assert "localhost: ca_file, cert_file or key_file cannot be used: " + why in str(error)

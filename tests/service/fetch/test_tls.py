"""Certificates are checked against the name, although the connection is to a checked address."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from service.problems import Problem
from tests.clients.python.certificates import self_signed
from tests.service.fetch.conftest import STORE, Fetch
from tests.service.fetch.servers import Resolver, local_server, reply

NAME = "images.example.org"


@pytest.fixture
def serve_and_fetch(fetch: Fetch) -> Callable[..., tuple[bytes, list[str | None]]]:
    def run(
        certificate: Path, trust: ssl.SSLContext, host: str = NAME
    ) -> tuple[bytes, list[str | None]]:
        """The content of the URL, and the server names of the TLS handshakes."""
        asked: list[str | None] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _socket, name, _context: asked.append(name)
        with local_server(STORE, tls=context) as server:
            server.answers["/"] = reply(200, b"an image")
            resolver = Resolver({}, default=[STORE])
            url = f"https://{host}:{server.port}/"
            content = fetch(url, resolver=resolver, ssl_context=trust, port=server.port)
            assert dict(server.requests[0][1])["Host"] == f"{host}:{server.port}"
            return content, asked

    return run


def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def test_a_trusted_certificate_of_the_name_is_taken(tmp_path: Path, serve_and_fetch) -> None:
    certificate = self_signed(tmp_path, NAME)
    assert serve_and_fetch(certificate, trust(certificate)) == (b"an image", [NAME])


def test_a_self_signed_certificate_is_refused(tmp_path: Path, serve_and_fetch) -> None:
    with pytest.raises(Problem) as caught:
        serve_and_fetch(self_signed(tmp_path, NAME), None)
    assert caught.value.code == "url_unreachable"
    assert "CERTIFICATE_VERIFY_FAILED" in repr(caught.value.__cause__)


@pytest.mark.parametrize("host", ["other.example.org", STORE])
def test_a_certificate_of_another_name_is_refused(
    host: str, tmp_path: Path, serve_and_fetch
) -> None:
    certificate = self_signed(tmp_path, NAME)
    with pytest.raises(Problem) as caught:
        serve_and_fetch(certificate, trust(certificate), host)
    assert "match" in repr(caught.value.__cause__) or "mismatch" in repr(caught.value.__cause__)


def test_an_expired_certificate_is_refused(tmp_path: Path, serve_and_fetch) -> None:
    certificate = self_signed(tmp_path, NAME, days=-1)
    with pytest.raises(Problem) as caught:
        serve_and_fetch(certificate, trust(certificate))
    assert "expired" in repr(caught.value.__cause__)

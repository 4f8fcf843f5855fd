"""Certificates are checked against the name, although the connection is to a checked address."""

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from service.problems import Problem
from tests.service.fetch.conftest import STORE, Fetch
from tests.service.fetch.servers import Resolver, local_server, reply

NAME = "images.example.org"
DAY = datetime.timedelta(days=1)


def self_signed(folder: Path, *names: str, days: int = 1) -> Path:
    """A certificate for ``names`` and its key in one file, good until in ``days``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


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

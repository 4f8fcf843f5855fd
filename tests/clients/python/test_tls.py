"""TLS: which certificates are trusted, and that its faults are told as such and not tried again."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from boxport_client import ConnectionFailed

from tests.clients.python.scripted import ScriptedServer, drops

pytest.importorskip("cryptography")
from tests.clients.python.certificates import self_signed


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost, and its key, in one file."""
    return self_signed(tmp_path, "localhost")


@pytest.fixture
def secure(certificate: Path) -> Iterator[ScriptedServer]:
    """A scripted server that has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedServer(context) as server:
        yield server


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_a_certificate_that_nobody_vouches_for(make_client, secure: ScriptedServer) -> None:
    client = make_client(secure.url)
    begun = time.monotonic()
    words = (
        "certificate of https://localhost:.* is not trusted: self-signed certificate; .*--ca-file"
    )
    for ask in (lambda: client.detect(b"photo"), lambda: client.wait_until_ready(30)):
        with pytest.raises(ConnectionFailed, match=words) as caught:
            ask()
        assert (caught.value.tries, caught.value.retryable) == (1, False)
    assert time.monotonic() - begun < 20
    assert not client.health().live
    assert not secure.asked


@pytest.mark.parametrize("kind", ["path", "text", "context", "nothing"])
def test_what_verify_takes(make_client, secure: ScriptedServer, certificate: Path, kind) -> None:
    verify = {
        "path": certificate,
        "text": str(certificate),
        "context": ssl.create_default_context(cafile=certificate),
        "nothing": False,
    }[kind]
    assert make_client(secure.url, verify=verify).detect(b"photo").width == 100


def test_the_environment_names_certificates(
    make_client, secure: ScriptedServer, certificate: Path, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert make_client(secure.url).detect(b"photo").width == 100


def test_certificates_that_cannot_be_read(
    make_client, secure: ScriptedServer, scripted: ScriptedServer, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    for name, words in (("none.pem", "No such file"), ("text.pem", "it is not in PEM")):
        with pytest.raises(ValueError, match=f"{name}: is no file of certificates: {words}"):
            make_client(secure.url, verify=tmp_path / name)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        with pytest.raises(
            ConnectionFailed, match=f"SSL_CERT_FILE=.*{name} is no file .*: {words}"
        ):
            make_client(secure.url)
        assert make_client(scripted.url).detect(b"photo")  # without TLS nobody needs them


def test_a_name_that_the_certificate_has_not(
    make_client, secure: ScriptedServer, certificate: Path
) -> None:
    url = secure.url.replace("localhost", "127.0.0.1")
    with pytest.raises(ConnectionFailed, match=r"is not trusted: .*127\.0\.0\.1") as caught:
        make_client(url, verify=certificate).detect(b"photo")
    assert caught.value.tries == 1


def test_https_where_http_is_spoken(make_client, scripted: ScriptedServer) -> None:
    url = scripted.url.replace("http://", "https://")
    with pytest.raises(ConnectionFailed, match=r"TLS with https://.* failed: .*SSL") as caught:
        make_client(url).detect(b"photo")
    assert (caught.value.tries, caught.value.retryable) == (1, False)


@pytest.mark.usefixtures("hasty")
def test_a_line_that_breaks_is_no_fault_of_tls(
    make_client, secure: ScriptedServer, certificate: Path
) -> None:
    secure.script = [drops, drops]
    assert make_client(secure.url, verify=certificate).detect(b"photo").width == 100
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            for _ in range(3):
                listening.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ConnectionFailed, match=r"\(after 3 tries\)") as caught:
            make_client(url, retries=2).detect(b"photo")
        assert caught.value.retryable
        thread.join()


def test_a_proxy_that_is_reached_by_tls(
    make_client, secure: ScriptedServer, certificate: Path, monkeypatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", secure.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = make_client("http://service.test", verify=certificate)
    assert client.detect(b"photo").width == 100
    assert secure.asked[0].path == "http://service.test/v1/detect"
    with pytest.raises(ConnectionFailed, match=r"the proxy https://localhost.* not trusted"):
        make_client("http://service.test").detect(b"photo")

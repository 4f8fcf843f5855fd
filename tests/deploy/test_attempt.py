"""Installations that fail, with pip itself: each is told in one line that says what helps."""

import http.server
import os
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.server import free_port
from tests.paths import ROOT

ATTEMPT = ROOT / "deploy" / "attempt.py"
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1")
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}


def attempt(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """``command``, of which a failure is told; pip knows no index but what it is given."""
    return subprocess.run(
        [sys.executable, ATTEMPT, *command],
        env={**CLEAN, "PIP_CONFIG_FILE": os.devnull, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a failure."""
    assert done.returncode
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("boxport: ")
    return line


@pytest.fixture
def https_index(tmp_path: Path) -> Iterator[str]:
    """An index whose certificate only its own CA vouches for, as behind a company's proxy."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "index.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}/simple"
        server.shutdown()


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """A package with code in C, as a source archive."""
    source = tmp_path / "needs-c"
    source.mkdir()
    (source / "c.c").write_text("#include <Python.h>\n")
    (source / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='needs-c', version='1', ext_modules=[Extension('c', ['c.c'])])\n"
    )
    archive = tmp_path / "needs-c-1.tar.gz"
    with tarfile.open(archive, "w:gz") as written:
        written.add(source, "needs-c-1")
    return archive


def test_what_succeeds_says_nothing() -> None:
    done = attempt(sys.executable, "-c", "print('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_failure_of_another_kind_is_shown_whole() -> None:
    done = attempt(sys.executable, "-c", "print('one', flush=True); raise SystemExit('two')")
    assert done.returncode == 1
    assert done.stderr == "one\ntwo\n"


def test_no_network(tmp_path: Path) -> None:
    index = f"http://127.0.0.1:{free_port()}/simple"
    line = told(attempt(*PIP, "--target", tmp_path, "nothing", PIP_INDEX_URL=index))
    assert "does not answer: connect to the network, or name" in line
    assert "a mirror by PIP_INDEX_URL=" in line
    assert " object at " not in line


def test_proxy_that_is_not_there(tmp_path: Path) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    line = told(
        attempt(
            *(*PIP, "--target", tmp_path, "nothing"),
            PIP_INDEX_URL="https://index.invalid/simple",
            HTTPS_PROXY=proxy,
            https_proxy=proxy,
        )
    )
    assert "name a proxy by HTTPS_PROXY=" in line


def test_certificate_of_a_proxys_own(https_index: str, tmp_path: Path) -> None:
    line = told(attempt(*PIP, "--target", tmp_path, "nothing", PIP_INDEX_URL=https_index))
    assert "name its file by PIP_CERT=" in line


def test_no_compiler(compiled: Path, tmp_path: Path) -> None:
    line = told(
        attempt(
            *(*PIP, "--no-index", "--no-build-isolation", "--target", tmp_path, compiled),
            CC=str(tmp_path / "no-cc"),
        )
    )
    assert "no wheel for this Python" in line
    assert "build-essential" in line


def test_no_release_for_this_python(tmp_path: Path) -> None:
    line = told(attempt(*PIP, "--no-index", "--target", tmp_path, "nothing"))
    assert "take another Python by PYTHON=" in line


def test_folder_that_cannot_be_written() -> None:
    line = told(attempt(sys.executable, "-m", "venv", "/sys/environment"))
    assert "cannot be written to: take a copy" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk() -> None:
    line = told(attempt("cp", "/dev/zero", "/dev/full"))
    assert "No space left on device: the disk is full" in line


def test_python_without_environments() -> None:
    line = told(attempt(sys.executable, "-c", "raise SystemExit('ensurepip is not available')"))
    assert "apt-get install python3-venv" in line

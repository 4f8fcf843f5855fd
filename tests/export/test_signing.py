"""Packages are signed with keys that are not lost, or not at all."""

import shutil
import subprocess
from pathlib import Path

import pytest

from export.signing import make_keys, sign
from service.package import PackageError, verify_package
from service.signature import SignatureError
from tests.packages import CLASSIFIER, break_graph


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ours.pem and theirs.pem, private, and their public halves as .pub."""
    folder = tmp_path_factory.mktemp("keys")
    for owner in ("ours", "theirs"):
        make_keys(folder / f"{owner}.pem", folder / f"{owner}.pub")
    return folder


@pytest.fixture
def package(store: Path, tmp_path: Path) -> Path:
    """A copy of the shipped classifier, to be signed."""
    return shutil.copytree(store / CLASSIFIER / "1", tmp_path / CLASSIFIER / "1")


def test_signature_can_be_replaced(package: Path, keys: Path) -> None:
    before = {path.name for path in package.iterdir()}
    sign(package, keys / "ours.pem")
    sign(package, keys / "theirs.pem")
    verify_package(package, [keys / "theirs.pub"])
    assert {p.name for p in package.iterdir()} == before | {"SHA256SUMS", "SHA256SUMS.sig"}


def test_unusable_private_key_signs_nothing(package: Path, keys: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:x", "-out", locked]
    subprocess.run([*command, "-in", keys / "ours.pem"], check=True)
    for path, words in (
        (tmp_path / "missing.pem", "missing.pem: No such file"),
        (keys / "ours.pub", "holds no private key"),
        (locked, "locked with a password"),
    ):
        with pytest.raises(SignatureError, match=words):
            sign(package, path)
    assert not (package / "SHA256SUMS.sig").exists()


def test_damaged_package_is_not_signed(package: Path, keys: Path) -> None:
    break_graph(package)
    with pytest.raises(PackageError, match="sha256"):
        sign(package, keys / "ours.pem")
    assert not (package / "SHA256SUMS.sig").exists()


def test_keys_are_not_overwritten(keys: Path) -> None:
    before = (keys / "ours.pem").read_bytes()
    with pytest.raises(SignatureError, match=r"ours\.pem exists"):
        make_keys(keys / "ours.pem", keys / "new.pub")
    with pytest.raises(SignatureError, match=r"ours\.pub exists"):
        make_keys(keys / "new.pem", keys / "ours.pub")
    assert (keys / "ours.pem").read_bytes() == before
    assert not (keys / "new.pem").exists()
    assert not (keys / "new.pub").exists()


def test_private_key_is_for_its_owner_alone(keys: Path) -> None:
    assert (keys / "ours.pem").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_agrees(package: Path, keys: Path, tmp_path: Path) -> None:
    sign(package, keys / "ours.pem")
    files = ["-in", package / "SHA256SUMS", "-sigfile", package / "SHA256SUMS.sig"]
    check = ["openssl", "pkeyutl", "-verify", "-rawin", *files, "-pubin", "-inkey"]
    assert subprocess.run([*check, keys / "ours.pub"], check=False).returncode == 0
    assert subprocess.run([*check, keys / "theirs.pub"], check=False).returncode != 0
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=package, check=True)
    private, public = tmp_path / "openssl.pem", tmp_path / "openssl.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    sign(package, private)
    verify_package(package, [public])

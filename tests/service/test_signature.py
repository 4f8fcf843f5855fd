"""Told to, the service takes only packages that a known key has signed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from export.signing import make_keys, sign
from service.package import PackageError, open_package, verify_package
from service.settings import SettingsError, read_settings
from service.signature import SignatureError
from tests.packages import rename_label
from tests.paths import ROOT

NAME = "efficientnet_lite0_imagenet"
Damage = Callable[[Path], None]


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
    return shutil.copytree(store / NAME / "1", tmp_path / NAME / "1")


def test_signed_package_opens(package: Path, keys: Path) -> None:
    sign(package, keys / "ours.pem")
    assert len((package / "manifest.sig").read_bytes()) == 64
    assert open_package(package, public_keys=[keys / "ours.pub"]).manifest.name == NAME


def test_one_of_several_keys_suffices(package: Path, keys: Path) -> None:
    sign(package, keys / "ours.pem")
    verify_package(package, [keys / "theirs.pub", keys / "ours.pub"])


def test_signature_can_be_replaced(package: Path, keys: Path) -> None:
    sign(package, keys / "ours.pem")
    sign(package, keys / "theirs.pem")
    verify_package(package, [keys / "theirs.pub"])
    assert sorted(p.name for p in package.iterdir() if "sig" in p.name) == ["manifest.sig"]


def cut_signature(package: Path) -> None:
    (package / "manifest.sig").write_bytes(b"short")


def flip_bit(package: Path) -> None:
    path = package / "manifest.sig"
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


def touch_graph(package: Path) -> None:
    with (package / "model.onnx").open("r+b") as graph:
        graph.seek(100_000)
        graph.write(b"\0changed")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (rename_label, "the manifest was changed after it was signed"),
        (lambda p: (p / "manifest.sig").unlink(), "is not signed; .* writes manifest.sig"),
        (cut_signature, "manifest.sig: has 5 bytes, not 64"),
        (flip_bit, "manifest.sig: is no signature of manifest.json"),
        (touch_graph, "its sha256 is not the manifest's"),
        (lambda p: (p / "manifest.json").unlink(), "manifest.json: No such file"),
    ],
    ids=["a label", "no signature", "a short one", "a bit of it", "the graph", "no manifest"],
)
def test_package_that_was_changed_is_refused(
    package: Path, keys: Path, damage: Damage, words: str
) -> None:
    sign(package, keys / "ours.pem")
    damage(package)
    with pytest.raises(PackageError, match=words) as caught:
        open_package(package, public_keys=[keys / "ours.pub"])
    assert "\n" not in str(caught.value)


def test_somebody_elses_signature_is_refused(package: Path, keys: Path) -> None:
    sign(package, keys / "theirs.pem")
    with pytest.raises(PackageError, match=r"by .*ours.pub; .*somebody else signed it"):
        verify_package(package, [keys / "ours.pub"])


def test_unsigned_package_is_refused_before_its_manifest_is_read(package: Path, keys: Path) -> None:
    (package / "manifest.json").write_text("{not json")
    with pytest.raises(PackageError, match="is not signed"):
        verify_package(package, [keys / "ours.pub"])


def test_unusable_public_key_is_named(package: Path, keys: Path, tmp_path: Path) -> None:
    sign(package, keys / "ours.pem")
    other = tmp_path / "rsa.pub"
    other.write_bytes(
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for path, words in (
        (tmp_path / "missing.pub", "missing.pub: No such file"),
        (package / "manifest.json", "holds no public key"),
        (keys / "ours.pem", "holds no public key"),
        (other, "is no ed25519 key"),
    ):
        with pytest.raises(PackageError, match=words):
            verify_package(package, [keys / "ours.pub", path])


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
    assert not (package / "manifest.sig").exists()


def test_damaged_package_is_not_signed(package: Path, keys: Path) -> None:
    touch_graph(package)
    with pytest.raises(PackageError, match="sha256"):
        sign(package, keys / "ours.pem")
    assert not (package / "manifest.sig").exists()


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
    files = ["-in", package / "manifest.json", "-sigfile", package / "manifest.sig"]
    check = ["openssl", "pkeyutl", "-verify", "-rawin", *files, "-pubin", "-inkey"]
    assert subprocess.run([*check, keys / "ours.pub"], check=False).returncode == 0
    assert subprocess.run([*check, keys / "theirs.pub"], check=False).returncode != 0
    private, public = tmp_path / "openssl.pem", tmp_path / "openssl.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    sign(package, private)
    verify_package(package, [public])


def test_service_without_keys_does_not_load_cryptography(package: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from service.package import verify_package;"
        " from service.settings import read_settings;"
        " verify_package(Path(sys.argv[1]), read_settings().public_keys);"
        " sys.exit('cryptography' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, package], cwd=ROOT, check=True)


def test_setting_names_one_or_more_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().public_keys == ()
    monkeypatch.setenv("BOXPORT_PUBLIC_KEYS", "/keys/a.pub:b.pub")
    assert read_settings().public_keys == (Path("/keys/a.pub"), Path("b.pub"))


@pytest.mark.parametrize("value", ["", "a.pub:", ":"])
def test_setting_that_names_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An empty variable must not quietly turn the check off."""
    monkeypatch.setenv("BOXPORT_PUBLIC_KEYS", value)
    with pytest.raises(SettingsError, match=f"BOXPORT_PUBLIC_KEYS={value}: .*names no file"):
        read_settings()

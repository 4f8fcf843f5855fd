"""Told to, the service takes only packages that a known key has signed."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from export.signing import make_keys, sign
from service.package import PackageError, open_package, verify_package
from service.settings import SettingsError, read_settings
from service.signature import format_list, list_files
from tests.export.small import small_package
from tests.packages import copy_package, edit_manifest, rename_label
from tests.paths import ROOT

NAME = "small"
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ours.pem and theirs.pem, private, and their public halves as .pub."""
    folder = tmp_path_factory.mktemp("keys")
    for owner in ("ours", "theirs"):
        make_keys(folder / f"{owner}.pem", folder / f"{owner}.pub")
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small one, to be signed."""
    made = small_package(tmp_path, NAME)
    (made / "report.html").write_text("of its export")
    return made


def test_signed_package_opens(package: Path, keys: Path) -> None:
    sign(package, keys / "ours.pem")
    assert len((package / "SHA256SUMS.sig").read_bytes()) == 64
    assert open_package(package, public_keys=[keys / "ours.pub"]).manifest.name == NAME


def test_one_of_several_keys_suffices(package: Path, keys: Path) -> None:
    sign(package, keys / "ours.pem")
    verify_package(package, [keys / "theirs.pub", keys / "ours.pub"])


def flip_bit(package: Path) -> None:
    path = package / "SHA256SUMS.sig"
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


def touch_graph(package: Path) -> None:
    with (package / "model.onnx").open("r+b") as graph:
        graph.seek(100)
        graph.write(b"\0changed")


def list_again(package: Path) -> None:
    """What an attacker without the key can do: a list that is right."""
    (package / "SHA256SUMS").write_bytes(format_list(list_files(package)))


def edit_and_list(package: Path) -> None:
    rename_label(package)
    list_again(package)


def list_extra(package: Path) -> None:
    (package / "weights.bin").write_bytes(b"weights")
    list_again(package)


def as_link(name: str) -> Damage:
    """The same bytes, from where somebody else can change them."""

    def replace(package: Path) -> None:
        elsewhere = (package / name).rename(package.parent / "elsewhere")
        (package / name).symlink_to(elsewhere)

    return replace


def as_pipe(name: str) -> Damage:
    def replace(package: Path) -> None:
        (package / name).unlink()
        os.mkfifo(package / name)

    return replace


def change_through_hard_link(package: Path) -> None:
    other = package.parent / "other.html"
    os.link(package / "report.html", other)
    other.write_text("changed")


def add(name: str) -> Damage:
    return lambda package: (package / name).write_bytes(b"added")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: (p / "SHA256SUMS.sig").unlink(), "is not signed; .* writes SHA256SUMS.sig"),
        (lambda p: (p / "SHA256SUMS").unlink(), "SHA256SUMS: No such file"),
        (lambda p: (p / "SHA256SUMS.sig").write_bytes(b"short"), "has 5 bytes, not 64"),
        (flip_bit, "is no signature of SHA256SUMS"),
        (rename_label, "manifest.json: was changed after it was signed"),
        (edit_and_list, "the list was changed after it was signed"),
        (touch_graph, "model.onnx: was changed after it was signed"),
        (lambda p: (p / "report.html").write_text(""), "report.html: was changed"),
        (change_through_hard_link, "report.html: was changed"),
        (lambda p: (p / "manifest.json").unlink(), "manifest.json: .*, and missing"),
        (lambda p: (p / "report.html").unlink(), "report.html: .*, and missing"),
        (add("weights.bin"), "weights.bin: is not in SHA256SUMS"),
        (list_extra, "the list was changed"),
        (add(".hidden"), "'.hidden' cannot be signed"),
        (add("manifest.sig"), "manifest.sig: is not in SHA256SUMS"),
        (add("Model.onnx"), "differs from another file by case alone"),
        (add("sha256sums"), "sha256sums: is not in SHA256SUMS"),
        (add("model\\onnx"), "cannot be signed"),
        (add("mode\u0301l.onnx"), "cannot be signed"),
        (add("\uff4dodel.onnx"), "cannot be signed"),
        (lambda p: (p / "more").mkdir(), "more: is no plain file"),
        (lambda p: (p / "link").symlink_to("model.onnx"), "link: is no plain file"),
        (lambda p: os.link(p / "model.onnx", p / "copy"), "copy: is not in SHA256SUMS"),
        (lambda p: os.mkfifo(p / "pipe"), "pipe: is no plain file"),
        (as_link("model.onnx"), "model.onnx: is no plain file"),
        (add("model.onnx."), "'model.onnx.' cannot be signed"),
        (add("model.onnx "), "'model.onnx ' cannot be signed"),
        (add("model.onnx:stream"), "cannot be signed"),
        (as_pipe("SHA256SUMS"), "SHA256SUMS: Is no plain file"),
        (as_pipe("SHA256SUMS.sig"), "SHA256SUMS.sig: Is no plain file"),
        (as_link("SHA256SUMS"), "SHA256SUMS: is no plain file"),
        (as_link("SHA256SUMS.sig"), "SHA256SUMS.sig: is no plain file"),
        (as_link("manifest.json"), "manifest.json: is no plain file"),
        (lambda p: (p / "model.yaml").symlink_to("/etc/hostname"), "model.yaml: is no plain file"),
        (add("Model.yaml"), "Model.yaml: is not in SHA256SUMS"),
    ],
    ids=[
        "no signature",
        "no list",
        "a short signature",
        "a bit of it",
        "a label",
        "a label, listed",
        "the graph",
        "the report",
        "the report through a hard link",
        "no manifest",
        "no report",
        "a file",
        "a file, listed",
        "a hidden file",
        "an old signature beside it",
        "another case",
        "the list in another case",
        "a backslash",
        "a combining accent",
        "a wide letter",
        "a folder",
        "a link",
        "a hard link",
        "a pipe",
        "the graph as a link",
        "a dot at the end",
        "a space at the end",
        "a stream of Windows'",
        "the list as a pipe",
        "the signature as a pipe",
        "the list as a link",
        "the signature as a link",
        "the manifest as a link",
        "BentoML's file as a link",
        "BentoML's file in another case",
    ],
)
def test_package_that_was_changed_is_refused(
    package: Path, keys: Path, damage: Damage, words: str
) -> None:
    sign(package, keys / "ours.pem")
    damage(package)
    with pytest.raises(PackageError, match=words) as caught:
        open_package(package, public_keys=[keys / "ours.pub"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("../1/model.onnx", "cannot be signed"),
        ("/etc/passwd", "cannot be signed"),
        ("..", "cannot be signed"),
        ("./model.onnx", "cannot be signed"),
        ("C:\\model.onnx", "cannot be signed"),
        ("MODEL.ONNX", "by case alone"),
        ("model.onnx", "by case alone"),
        ("weights.bin", "and missing"),
        ("", "names no sha256 and file"),
    ],
)
def test_list_with_other_paths_is_refused_even_if_it_is_signed(
    package: Path, keys: Path, line: str, words: str
) -> None:
    sign(package, keys / "ours.pem")
    content = (package / "SHA256SUMS").read_bytes() + f"{'0' * 64}  {line}\n".encode()
    sign_list(package, keys, content)
    with pytest.raises(PackageError, match=words):
        verify_package(package, [keys / "ours.pub"])


def sign_list(package: Path, keys: Path, content: bytes) -> None:
    key = load_pem_private_key((keys / "ours.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    (package / "SHA256SUMS").write_bytes(content)
    (package / "SHA256SUMS.sig").write_bytes(key.sign(content))


def test_signed_list_of_something_else_is_refused(package: Path, keys: Path) -> None:
    """Such as a release's, which the same key has signed."""
    sign_list(package, keys, f"{'0' * 64}  release.tar.gz\n".encode())
    with pytest.raises(PackageError, match=r"does not list manifest\.json, model\.onnx"):
        verify_package(package, [keys / "ours.pub"])


@pytest.mark.parametrize(("name", "version"), [(NAME, "2"), ("other", "1")])
def test_signature_of_another_package_is_refused(
    package: Path, keys: Path, tmp_path: Path, name: str, version: str
) -> None:
    other = copy_package(package, tmp_path / "store", name, version)
    sign(other, keys / "ours.pem")
    for file in ("SHA256SUMS", "SHA256SUMS.sig"):
        shutil.copy(other / file, package)
    with pytest.raises(PackageError, match="changed after it was signed"):
        verify_package(package, [keys / "ours.pub"])
    renamed = shutil.copytree(other, tmp_path / "elsewhere" / name / "9")
    with pytest.raises(PackageError, match="name the folder after it"):
        verify_package(renamed, [keys / "ours.pub"])


def test_old_signature_is_refused_until_the_package_is_signed_again(
    package: Path, keys: Path
) -> None:
    """It covers the manifest alone: with it the new one could be taken away."""
    key = load_pem_private_key((keys / "ours.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    manifest = (package / "manifest.json").read_bytes()
    (package / "manifest.sig").write_bytes(key.sign(manifest))
    with pytest.raises(PackageError, match=r"manifest\.json alone; `python -m export sign`"):
        verify_package(package, [keys / "ours.pub"])
    sign_list(package, keys, manifest)
    with pytest.raises(PackageError, match="names no sha256 and file"):
        verify_package(package, [keys / "ours.pub"])
    sign(package, keys / "ours.pem")
    verify_package(package, [keys / "ours.pub"])
    assert not (package / "manifest.sig").exists()


def test_weights_in_another_file_are_not_signed_nor_served(package: Path, keys: Path) -> None:
    path = package / "model.onnx"
    elsewhere = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save_model(onnx.load(path), path, **elsewhere)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(package, lambda manifest: manifest.update(sha256=digest))
    with pytest.raises(PackageError, match=r"the weights are in another file: .* more; save"):
        open_package(package)
    with pytest.raises(PackageError, match="the weights are in another file"):
        sign(package, keys / "ours.pem")
    assert not (package / "SHA256SUMS").exists()


def test_file_that_bentomls_store_adds_is_passed_over(package: Path, keys: Path) -> None:
    sign(package, keys / "ours.pem")
    add("model.yaml")(package)
    verify_package(package, [keys / "ours.pub"])


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

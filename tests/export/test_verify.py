"""A package that was changed since its export does not pass."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.evaluation.photo_set import find_photos
from export.report import write_report
from export.signing import make_keys, sign
from export.verify import Subject, claims_of, verify
from service.package import PackageError, open_package, verify_package
from tests.packages import edit_manifest, rename_label

CLASSIFIER, DETECTOR = "efficientnet_lite0_imagenet", "efficientdet_lite0_voc"
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def some_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos, one with much in it."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("cat.jpg", "astronaut.jpg"):
        shutil.copy(photos / name, folder)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder / "private.pem", folder / "public.pem")
    return folder / "private.pem", folder / "public.pem"


@pytest.fixture(scope="module")
def sound(
    store: Path,
    some_photos: Path,
    keys: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Copies of the shipped packages, by name, with reports and signed."""
    copies = {}
    for name in (CLASSIFIER, DETECTOR):
        folder = tmp_path_factory.mktemp("sound") / name / "1"
        shutil.copytree(store / name / "1", folder)
        write_report(folder, find_photos(some_photos), open_package(folder))
        sign(folder, keys[0])
        copies[name] = folder
    return copies


@pytest.fixture
def package(sound: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the sound classifier, to be damaged."""
    return shutil.copytree(sound[CLASSIFIER], tmp_path / CLASSIFIER / "1")


def failed(package: Path, photos: Path, *public_keys: Path) -> dict[str, str]:
    return {c.name: c.detail for c in verify(package, photos, public_keys) if c.passed is False}


@pytest.mark.parametrize("name", [CLASSIFIER, DETECTOR])
def test_sound_package_passes(
    sound: dict[str, Path], some_photos: Path, keys: tuple[Path, Path], name: str
) -> None:
    checks = list(verify(sound[name], some_photos, [keys[1]]))
    assert [check.name for check in checks] == [
        "manifest",
        "signature",
        "files",
        "graph",
        "interface",
        "runtime",
        "answers",
        "thresholds",
        "batches",
        "report",
        "claims",
    ]
    unchecked = {check.name for check in checks if check.passed is None}
    assert unchecked == {"claims"} | ({"thresholds"} if name == CLASSIFIER else set())
    assert all(check.passed is not False for check in checks)


def test_shipped_packages_pass(store: Path, some_photos: Path) -> None:
    for name in (CLASSIFIER, DETECTOR):
        assert failed(store / name / "1", some_photos) == {}


def edit_graph(package: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    """Change the graph, and the manifest's hash with it."""
    path = package / "model.onnx"
    model = onnx.load(path)
    edit(model)
    path.write_bytes(model.SerializeToString())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(package, lambda m: m.update(sha256=digest))


def change_byte(package: Path) -> None:
    with (package / "model.onnx").open("r+b") as graph:
        graph.seek(5_000_000)
        byte = graph.read(1)
        graph.seek(5_000_000)
        graph.write(bytes([byte[0] ^ 1]))


def rename_input(package: Path) -> None:
    def rename(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = "pixels"
        for node in model.graph.node:
            node.input[:] = ["pixels" if name == "images" else name for name in node.input]

    edit_graph(package, rename)


def cut(package: Path) -> None:
    path = package / "model.onnx"
    path.write_bytes(path.read_bytes()[:3_000_000])


def cut_and_hash(package: Path) -> None:
    cut(package)
    digest = hashlib.sha256((package / "model.onnx").read_bytes()).hexdigest()
    edit_manifest(package, lambda m: m.update(sha256=digest))


def move_weights(package: Path) -> None:
    """Save the weights beside the graph, as onnx.save_model does for large models."""
    path = package / "model.onnx"
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="weights.bin")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(package, lambda m: m.update(sha256=digest))


def add_opset(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change_byte, {"files": "sha256", "runtime": "sha256"}),
        (
            rename_label,
            {
                "signature": "manifest.json: was changed after it was signed",
                "report": "another manifest",
            },
        ),
        (rename_input, {"interface": "inputs are pixels", "runtime": "inputs are", "report": ""}),
        (cut, {"files": "sha256", "graph": "model.onnx"}),
        (cut_and_hash, {"files": "no ONNX file", "graph": "model.onnx", "interface": "see above"}),
        (lambda p: (p / "manifest.json").unlink(), {"manifest": "No such file", "graph": "above"}),
        (lambda p: (p / "model.onnx").unlink(), {"files": "model.onnx: No such file"}),
        (lambda p: (p / "report.html").unlink(), {"report": "report.html: No such file"}),
        (lambda p: (p / "SHA256SUMS.sig").write_bytes(b"x"), {"signature": "has 1 bytes, not 64"}),
        (move_weights, {"files": "in another file", "graph": "in another file", "runtime": "file"}),
        (lambda p: edit_graph(p, add_opset), {"graph": "com.microsoft"}),
        (
            lambda p: edit_manifest(p, lambda m: m["labels"].pop()),
            {"signature": "changed", "manifest": "999 labels, and outputs of 1000 classes"},
        ),
    ],
    ids=[
        "a byte of the graph",
        "a label",
        "an input",
        "a graph cut short",
        "a graph cut short whose hash is right",
        "no manifest",
        "no graph",
        "no report",
        "a damaged signature",
        "weights in another file",
        "an operator set of others",
        "a label too few",
    ],
)
def test_package_edited_by_hand_is_caught(
    package: Path,
    some_photos: Path,
    keys: tuple[Path, Path],
    damage: Damage,
    words: dict[str, str],
) -> None:
    damage(package)
    faults = failed(package, some_photos, keys[1])
    for name, part in words.items():
        assert part in faults[name]
        assert "\n" not in faults[name]


def test_unsigned_package_fails_only_where_a_signature_is_asked_for(
    package: Path, some_photos: Path, keys: tuple[Path, Path]
) -> None:
    (package / "SHA256SUMS.sig").unlink()
    assert failed(package, some_photos) == {}
    assert "is not signed" in failed(package, some_photos, keys[1])["signature"]


def test_false_size_is_a_fault_and_the_next_package_is_looked_at(
    package: Path, sound: dict[str, Path], some_photos: Path
) -> None:
    """Consistent with itself, so that only the graph tells."""

    def enlarge(manifest: dict) -> None:
        manifest["input"].update(height=640, width=640, shorter_side=640)
        manifest["inputs"][0].update(shape=["N", 640, 640, 3])

    edit_manifest(package, enlarge)
    assert "inputs are" in failed(package, some_photos)["interface"]
    arguments = ["verify", str(package), str(sound[DETECTOR]), "--photos", str(some_photos)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert len(result.stdout.splitlines()) == 24


def test_whatever_a_check_raises_is_its_fault(
    package: Path, some_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the\nruntime's own")

    monkeypatch.setattr("export.verify.check_batch", fail)
    assert failed(package, some_photos) == {"batches": "RuntimeError: the runtime's own"}


def test_changed_files_are_found_without_a_key(package: Path, some_photos: Path) -> None:
    """The list of a signed package says what its files were, whoever signed it."""
    (package / "report.html").write_text((package / "report.html").read_text() + " ")
    assert "report.html: was changed" in failed(package, some_photos)["signature"]


def test_command_has_a_line_for_each_check(
    package: Path, some_photos: Path, keys: tuple[Path, Path]
) -> None:
    options = ["--photos", str(some_photos), "--public-key", str(keys[1])]
    result = CliRunner().invoke(app, ["verify", str(package), *options])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 12
    assert "✗" not in result.stdout
    change_byte(package)
    result = CliRunner().invoke(app, ["verify", str(package), *options])
    assert result.exit_code == 1
    assert f"✗ files: {package / 'model.onnx'}: its sha256 is not the manifest's" in result.stdout
    assert len(result.stdout.splitlines()) == 12


def test_a_package_that_cannot_be_signed_does_not_stop_the_others(
    package: Path, sound: dict[str, Path], keys: tuple[Path, Path], tmp_path: Path
) -> None:
    sums = package / "SHA256SUMS"
    sums.unlink()
    damaged = shutil.copytree(package, tmp_path / "damaged" / CLASSIFIER / "1")
    change_byte(damaged)
    folders = [tmp_path / "none" / "1", damaged, package]
    result = CliRunner().invoke(app, ["sign", *map(str, folders), "--key", str(keys[0])])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split(":")[0].split(" ")[0] for line in lines] == ["error", "error", "wrote"]
    assert sums.exists()
    assert not (damaged / "SHA256SUMS").exists()


def test_commands_make_keys_and_sign(package: Path, some_photos: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "new.pem", tmp_path / "new.pub"
    made = CliRunner().invoke(app, ["keygen", "--private", str(private), "--public", str(public)])
    assert made.exit_code == 0
    assert "somebody else signed it" in failed(package, some_photos, public)["signature"]
    assert CliRunner().invoke(app, ["sign", str(package), "--key", str(private)]).exit_code == 0
    assert failed(package, some_photos, public) == {}
    again = CliRunner().invoke(app, ["keygen", "--private", str(private), "--public", str(public)])
    assert again.exit_code == 1
    assert again.output.strip().endswith("keys are not overwritten")


def claims(package: Path) -> list[str]:
    subject = Subject(package, package, ())
    return claims_of(subject.manifest, subject.inferred)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        (DETECTOR, "interpolation", "bicubic"),
        (DETECTOR, "fill", [0, 0, 0]),
        (DETECTOR, "antialias", False),
        (DETECTOR, "mean", [0, 0, 0]),
        (DETECTOR, "std", [1, 1, 1]),
        (DETECTOR, "height", 300),
        (CLASSIFIER, "interpolation", "bilinear"),
        (CLASSIFIER, "shorter_side", 300),
        (CLASSIFIER, "width", 300),
    ],
)
def test_what_of_the_input_is_no_claim_is_found_out(
    store: Path, tmp_path: Path, name: str, field: str, value: object
) -> None:
    package = shutil.copytree(store / name / "1", tmp_path / name / "1")
    edit_manifest(package, lambda manifest: manifest["input"].update({field: value}))
    try:
        verify_package(package)
    except PackageError:
        assert f"input.{field}" not in claims(store / name / "1")
    else:
        assert f"input.{field}" in claims(package)


def test_graph_that_shows_less_leaves_more_to_claims(store: Path, tmp_path: Path) -> None:
    package = shutil.copytree(store / DETECTOR / "1", tmp_path / DETECTOR / "1")
    shown = {"input.mean", "input.std", "input.scale", "input.channel_order"}
    assert not shown & set(claims(package))

    def rename(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            tensor.name = tensor.name.replace("normalise.", "other.")
        for node in model.graph.node:
            node.input[:] = [name.replace("normalise.", "other.") for name in node.input]

    edit_graph(package, rename)
    assert shown < set(claims(package))

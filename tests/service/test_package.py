"""A package is served only if its files are what its manifest says."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.manifest import ManifestError, read_manifest
from service.package import PackageError, find_packages, open_package, verify_package
from service.providers import PROVIDERS
from service.runtime.sessions import Device
from tests.packages import edit_manifest

NAME = "efficientnet_lite0_imagenet"
DETECTOR = "efficientdet_lite0_voc"
Edit = Callable[[dict], None]
varying = {"resize": "shorter_side", "shorter_side": 800, "longer_side": 1333}


@pytest.fixture
def package(store: Path, tmp_path: Path) -> Path:
    """A copy of the shipped classifier, to be damaged."""
    return shutil.copytree(store / NAME / "1", tmp_path / NAME / "1")


def test_shipped_packages_are_whole(store: Path) -> None:
    for folder in find_packages(store):
        package = open_package(folder)
        assert package.manifest.name == folder.parent.name


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.update(sha256="0" * 64), "sha256"),
        (lambda m: m.update(opset=19), "opset 20, the manifest says 19"),
        (lambda m: m.update(name="other"), "name the folder after it"),
        (lambda m: m.update(version="2"), "name the folder after it"),
        (lambda m: m.update(colour="red"), "colour: Extra inputs are not permitted"),
        (lambda m: m.pop("labels"), "labels: Field required"),
        (lambda m: m["input"].pop("shorter_side"), "input.shorter_side: Field required"),
        (lambda m: m["input"].update(height=225), None),
        (lambda m: m["inputs"][0].update(name="pixels"), "inputs must be images"),
        (lambda m: m.update(task="detection"), "defaults.score_threshold: Field required"),
        (lambda m: m.pop("activation"), "activation: Field required"),
        (lambda m: m.update(activation="tanh"), "activation: Input should be 'softmax' or 'sig"),
        (lambda m: m["input"].update(varying), "input.divisor: Field required"),
        (lambda m: m["input"].update(varying, divisor=0), "divisor: Input should be greater than"),
        (
            lambda m: m["input"].update(varying, longer_side=None, divisor=32),
            "input.longer_side: Input should be a valid integer",
        ),
    ],
    ids=[
        "another hash",
        "another opset",
        "another name",
        "another version",
        "an unknown field",
        "no labels",
        "a crop without its size",
        "an input size that the graph does not have",
        "another input name",
        "another task",
        "a classifier without its activation",
        "an unknown activation",
        "a size that varies without its divisor",
        "a divisor of nothing",
        "a size that varies without its limit",
    ],
)
def test_manifest_that_does_not_fit_is_refused(
    package: Path, edit: Edit, words: str | None
) -> None:
    edit_manifest(package, edit)
    if words is None:
        edit_manifest(package, lambda m: m["inputs"][0].update(shape=["N", 225, 224, 3]))
        words = "inputs are .*224.*the manifest says .*225"
    with pytest.raises(PackageError, match=words) as caught:
        open_package(package)
    assert "\n" not in str(caught.value)
    assert str(package) in str(caught.value)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_detector_with_an_activation_is_refused(
    store: Path, tmp_path: Path, activation: str
) -> None:
    package = shutil.copytree(store / DETECTOR / "1", tmp_path / DETECTOR / "1")
    verify_package(package)
    edit_manifest(package, lambda m: m.update(activation=activation))
    with pytest.raises(PackageError, match="activation: Extra inputs are not permitted"):
        verify_package(package)


def test_shipped_classifier_says_how_its_scores_add_up(package: Path) -> None:
    assert verify_package(package).activation == "softmax"


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx"])
def test_missing_file_is_refused(package: Path, file: str) -> None:
    (package / file).unlink()
    with pytest.raises(PackageError, match=f"{file}: No such file"):
        verify_package(package)


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx"])
def test_truncated_file_is_refused(package: Path, file: str) -> None:
    path = package / file
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PackageError, match=file):
        verify_package(package)


def test_graph_that_is_no_onnx_is_refused(package: Path) -> None:
    graph = package / "model.onnx"
    graph.write_bytes(b"\xff" * 100)
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    edit_manifest(package, lambda m: m.update(sha256=digest))
    with pytest.raises(PackageError, match="is no ONNX file"):
        verify_package(package)


def test_unreadable_manifest_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("{not json")
    with pytest.raises(ManifestError, match=f"{path}: "):
        read_manifest(path)


def test_hidden_folders_are_no_packages(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store / NAME / "1", tmp_path / NAME / ".1.draft")
    (tmp_path / ".old" / NAME).mkdir(parents=True)
    (tmp_path / ".old" / NAME / "manifest.json").write_text("{}")
    with pytest.raises(PackageError, match="holds no package"):
        find_packages(tmp_path)
    shutil.copytree(store / NAME / "1", tmp_path / NAME / "1")
    assert find_packages(tmp_path) == [tmp_path / NAME / "1"]


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_fixed_batches_are_filled_up_and_cut_again(store: Path, number: int) -> None:
    folder = store / NAME / "1"
    images = np.random.default_rng(0).integers(0, 256, (number, 224, 224, 3)).astype(np.uint8)
    plain = open_package(folder).run({"images": images})["probabilities"]
    package = open_package(folder, batches=(2, 4))
    sizes = []
    run = package.session.run
    package.session.run = lambda names, feeds: (
        sizes.append(len(feeds["images"])) or run(names, feeds)
    )
    filled = package.run({"images": images})["probabilities"]
    assert sizes == [{1: 2, 2: 2, 3: 4, 5: 5}[number]]
    assert filled.shape == (number, 1000)
    np.testing.assert_allclose(filled, plain, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_refused_unless_it_may_fall_back(store: Path) -> None:
    """ONNX Runtime itself only warns, and runs on the CPU."""
    here = ort.get_available_providers()
    missing = next(row for row in PROVIDERS.values() if row.ort_name not in here)
    asked = (missing,)
    with pytest.raises(PackageError, match=f"{missing.name} was asked for") as caught:
        open_package(store / NAME / "1", device=Device(asked))
    assert "the session has CPUExecutionProvider" in str(caught.value)
    fallen = open_package(store / NAME / "1", device=Device(asked, allow_fallback=True))
    assert fallen.provider == "cpu"


def test_threads_of_a_session_are_what_is_asked(store: Path) -> None:
    for device, threads in ((Device(), 1), (Device(threads=3), 3)):
        session = open_package(store / NAME / "1", device=device).session
        assert session.get_session_options().intra_op_num_threads == threads
    assert (
        open_package(store / NAME / "1", 2).session.get_session_options().intra_op_num_threads == 2
    )


def test_a_graph_that_onnx_runtime_refuses_is_refused_in_one_line(package: Path) -> None:
    graph = onnx.load(package / "model.onnx")
    graph.graph.node[0].op_type = "Nonsense"
    onnx.save(graph, package / "model.onnx")
    digest = hashlib.sha256((package / "model.onnx").read_bytes()).hexdigest()
    edit_manifest(package, lambda m: m.update(sha256=digest))
    verify_package(package)
    with pytest.raises(PackageError, match=r"model.onnx: ONNX Runtime refuses it: .*Nonsense") as e:
        open_package(package)
    assert "\n" not in str(e.value)


def test_store_without_packages_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no package"):
        find_packages(tmp_path)
    with pytest.raises(PackageError, match="there is no such folder"):
        find_packages(tmp_path / "missing")

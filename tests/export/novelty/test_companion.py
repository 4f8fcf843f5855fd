"""The command's work: photos in, the best measured companion out, proven or not written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from export.errors import ExportError
from export.novelty import companion
from export.novelty.companion import CompanionJob, auroc, write_companion
from export.novelty.unlike import KINDS, unlike
from export.package_writer import OutputError
from export.parity.comparison import ParityError
from export.report import REPORT_FILE
from export.verify import verify
from models import vae
from models.checkpoints import Checkpoint, save_checkpoint
from models.vae import AutoEncoder, Settings
from service.imaging.files import read_image, read_photo
from service.imaging.views import view_of
from service.manifest import (
    MANIFEST_FILE,
    ManifestError,
    NoveltyManifest,
    read_any_manifest,
    read_manifest,
)
from service.package import PackageError, open_companion, open_package
from service.repository.store import companion_of, scan_store
from tests.packages import CLASSIFIER, copy_package
from tests.paths import ROOT

Store = tuple[Path, Path, NoveltyManifest]  # the package, the photos' folder, the companion's
PHOTOS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of real photos, in folders of two classes."""
    folder, rng = tmp_path_factory.mktemp("train"), np.random.default_rng(0)
    sources = [read_image(path) for path in sorted((ROOT / "docs" / "photos").glob("*.jpg"))]
    for i in range(PHOTOS):
        source = sources[i % len(sources)]
        left, top = (int(rng.integers(0, side // 3)) for side in source.size)
        part = source.crop((left, top, left + source.width // 2, top + source.height // 2))
        path = folder / f"class{i % 2}" / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        part.save(path)
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("novelty") / "store"
    return copy_package(ROOT / "model_store" / CLASSIFIER / "1", store, "things", 3)


@pytest.fixture(scope="module")
def written(package: Path, folder: Path) -> Store:
    return package, folder, write_companion(CompanionJob(package, folder, licence="MIT"))


def test_the_companion_lies_where_the_service_looks_and_opens(written: Store) -> None:
    package, _, manifest = written
    found = companion_of(package)
    assert (manifest.name, manifest.version) == ("things.novelty", "3")
    opened = open_companion(found)
    assert opened.manifest == manifest == read_any_manifest(found / MANIFEST_FILE)
    (candidate,) = scan_store(package.parent.parent).values()
    assert candidate.companion == found
    assert manifest.companion_of.sha256 == read_manifest(package / MANIFEST_FILE).sha256
    assert manifest.provenance.licence == "MIT"


def test_it_was_proven_and_measured(written: Store) -> None:
    manifest = written[2]
    assert manifest.parity.batch_sizes == (1, 2, 7)
    assert 0 < manifest.parity.max_score_difference <= 1e-4
    assert manifest.measures == ("mahalanobis",)
    assert manifest.accuracy is not None
    assert manifest.accuracy.classes is not None
    assert manifest.accuracy.classes.keys() == KINDS.keys()
    kinds = list(manifest.accuracy.classes.values())
    assert manifest.accuracy.metrics["auroc"] == pytest.approx(np.mean(kinds), abs=1e-3)
    assert list(manifest.quantiles) == sorted(manifest.quantiles)


def test_noise_and_text_are_farther_than_any_training_photo(written: Store) -> None:
    package, folder, manifest = written
    spec, opened = (
        read_manifest(package / MANIFEST_FILE).input,
        open_companion(companion_of(package)),
    )
    paths = sorted(folder.glob("*/*.jpg"))[:4]
    for kind in ("noise", "text"):
        for photo in unlike(paths, kind):
            path = folder.parent / "one.png"
            photo.save(path)
            view = view_of(read_photo(path, spec), manifest.input)
            (distance,) = opened.run({"images": view[None]})["distances"][0]
            assert distance > manifest.quantiles[-1], kind


def test_verify_passes_and_sees_another_page(written: Store, photos: Path, tmp_path: Path) -> None:
    companion_folder = companion_of(written[0])
    checks = {check.name: check for check in verify(companion_folder, photos)}
    assert [check for check in checks.values() if check.passed is False] == []
    assert "distances in" in checks["answers"].detail
    assert checks["thresholds"].passed is None
    assert "quantiles" in checks["claims"].detail
    copied = tmp_path / "things.novelty" / "3"
    shutil.copytree(companion_folder, copied)
    (copied / REPORT_FILE).write_text("another")
    failed = [check.name for check in verify(copied, photos) if check.passed is False]
    assert failed == ["report"]


def test_a_companion_answers_no_requests_and_a_model_is_no_companion(written: Store) -> None:
    package = written[0]
    with pytest.raises(PackageError, match=r"belongs to things/3"):
        open_package(companion_of(package))
    with pytest.raises(PackageError, match=r"is no companion; it does classification"):
        open_companion(package)


def test_a_companion_is_not_written_over(written: Store) -> None:
    with pytest.raises(OutputError, match="exists"):
        write_companion(CompanionJob(written[0], written[1]))


def test_too_few_photos_and_detectors_features_are_refused(package: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    job = CompanionJob(package, tmp_path, tmp_path / "out" / "1")
    with pytest.raises(ExportError, match="holds 1 photos"):
        write_companion(job)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["vae", "autoencoder"])
def test_an_auto_encoder_is_tried_as_well_and_the_best_is_written(
    name: str, package: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mahalanobis' AUROC is made the worst, so that the auto-encoder's graph is exported."""
    monkeypatch.setitem(vae.SETTINGS, name, Settings(name == "vae", 4, (4, 4, 8, 8)))
    torch.manual_seed(0)
    weights = tmp_path / "best.pth"
    save_checkpoint(Checkpoint(AutoEncoder(vae.SETTINGS[name]).state_dict(), name), weights)
    measure = companion.measure

    def measured(*arguments: object) -> list[companion.Measured]:
        rows = measure(*arguments)
        assert [one.measure for one in rows] == [
            "mahalanobis",
            "reconstruction_error",
            "latent_distance",
        ]
        return rows[1:]

    monkeypatch.setattr(companion, "measure", measured)
    output = tmp_path / "own.novelty" / "1"
    manifest = write_companion(CompanionJob(package, folder, output, autoencoder=weights))
    assert manifest.provenance.architecture == name
    assert manifest.measures == ("reconstruction_error", "latent_distance")
    assert manifest.outputs[0].shape == ("N", 2)
    metrics = manifest.accuracy.metrics
    assert metrics["auroc"] == max(metrics[f"auroc_{one}"] for one in manifest.measures)
    assert metrics["auroc"] == metrics[f"auroc_{manifest.measure}"]
    assert open_companion(output).manifest == manifest


def test_a_graph_that_differs_is_not_written(
    package: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vae.SETTINGS, "vae", Settings(True, 4, (4, 4, 8, 8)))
    weights = tmp_path / "best.pth"
    save_checkpoint(Checkpoint(AutoEncoder(vae.SETTINGS["vae"]).state_dict(), "vae"), weights)
    measure, to_onnx = companion.measure, companion.to_onnx

    def off_by_a_thousandth(traced: object, graph: torch.nn.Module) -> object:
        model = to_onnx(traced, graph)
        with torch.no_grad():
            graph.network.network.to_latent.bias += 0.01
        return model

    monkeypatch.setattr(companion, "measure", lambda *arguments: measure(*arguments)[1:])
    monkeypatch.setattr(companion, "to_onnx", off_by_a_thousandth)
    output = tmp_path / "own.novelty" / "1"
    with pytest.raises(ParityError, match="distances are"):
        write_companion(CompanionJob(package, folder, output, autoencoder=weights))
    assert not output.exists()


def test_a_manifest_that_contradicts_itself_is_refused(written: Store, tmp_path: Path) -> None:
    content = json.loads((companion_of(written[0]) / MANIFEST_FILE).read_text())
    for change, told in (
        ({"measure": "latent_distance"}, "measure is latent_distance"),
        ({"quantiles": [1.0, 0.5]}, "quantiles must ascend"),
        ({"measures": ["mahalanobis", "latent_distance"]}, "there are 2 measures"),
    ):
        path = tmp_path / MANIFEST_FILE
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(ManifestError, match=told):
            read_any_manifest(path)


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    usual, novel = rng.integers(0, 6, 40) / 1.0, rng.integers(3, 9, 30) / 1.0
    pairs = [(u < n) + 0.5 * (u == n) for u in usual for n in novel]
    assert auroc(usual, novel) == pytest.approx(np.mean(pairs))
    assert auroc(usual, usual) == pytest.approx(0.5)


def test_kinds_are_photos_of_the_same_size_and_the_same_at_every_export(photos: Path) -> None:
    paths = sorted(photos.glob("*.jpg"))[:2]
    for kind in KINDS:
        first, again = (list(unlike(paths, kind)) for _ in range(2))
        for photo, other, path in zip(first, again, paths, strict=True):
            assert photo.mode == "RGB"
            assert photo.tobytes() == other.tobytes()
            size = read_image(path).size
            assert photo.width / photo.height == pytest.approx(size[0] / size[1], rel=0.05)
    assert not np.array_equal(*(np.asarray(photo) for photo in unlike([paths[0]] * 2, "noise")))

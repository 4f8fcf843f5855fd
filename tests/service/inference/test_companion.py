"""What a companion makes of what a model reads."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.imaging.input_spec import CentreCrop, Letterbox
from service.imaging.resize import to_input
from service.inference.companion import Companion, load_companion
from service.manifest import MANIFEST_FILE, read_manifest
from service.package import PackageError, open_companion
from service.settings import Settings
from tests.packages import CLASSIFIER, copy_package
from tests.paths import ROOT
from tests.service.companions import add_companion

SHARED = {"interpolation": "bilinear", "mean": (0.5,) * 3, "std": (0.5,) * 3}
LETTERBOX = Letterbox(height=320, width=320, fill=(255, 255, 255), anchor="centre", **SHARED)
CROP = CentreCrop(height=100, width=100, shorter_side=100, **SHARED)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = ROOT / "model_store" / CLASSIFIER / "1"
    return copy_package(source, tmp_path_factory.mktemp("store"), "things", 1)


@pytest.fixture(scope="module")
def companion(package: Path) -> Companion:
    return Companion(open_companion(add_companion(package)))


def grey(value: int, size: tuple[int, int] = (200, 80)) -> Image.Image:
    return Image.new("RGB", size, (value,) * 3)


@pytest.mark.parametrize("spec", [LETTERBOX, CROP], ids=["letterbox", "centre crop"])
def test_novelty_is_the_percentile_of_what_shows_the_photo(
    companion: Companion, spec: Letterbox | CentreCrop
) -> None:
    """What a letterbox leaves empty is white, and would be novel."""
    images = [to_input(grey(value), spec) for value in (0, 51, 255)]
    assert companion.judge(images) == pytest.approx([0, 0.2, 1], abs=1e-3)
    assert companion.judge(images[1:2]) == pytest.approx([0.2], abs=1e-3)


def test_what_a_crop_cuts_off_does_not_count(companion: Companion) -> None:
    photo = np.zeros((100, 300, 3), np.uint8)
    photo[:, :90] = 255
    (novelty,) = companion.judge([to_input(Image.fromarray(photo), CROP)])
    assert novelty == 0


def test_beyond_every_training_photo_it_is_1_and_so_is_no_number(package: Path) -> None:
    class Broken:
        manifest = open_companion(add_companion_once(package)).manifest

        def run(self, feeds: dict, *, alone: bool = False) -> dict:
            return {"distances": np.array([[np.nan], [1e9], [-5.0]], np.float32)}

    images = [to_input(grey(9), LETTERBOX)] * 3
    assert Companion(Broken()).judge(images) == [1, 1, 0]


def add_companion_once(package: Path) -> Path:
    folder = package.parent.with_name(f"{package.parent.name}.novelty") / package.name
    return folder if folder.exists() else add_companion(package)


def test_one_of_another_graph_is_refused(package: Path, tmp_path: Path) -> None:
    other = copy_package(package, tmp_path, "others", 2)
    watched = {"name": "others", "version": "2", "sha256": "0" * 64}
    folder = add_companion(other, companion_of=watched)
    manifest = read_manifest(other / MANIFEST_FILE)
    with pytest.raises(PackageError, match="made for another graph than that of others/2"):
        load_companion(folder, manifest, Settings())

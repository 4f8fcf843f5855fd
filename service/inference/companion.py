"""A model's companion: how novel the photos are that it is asked about."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from service.imaging.resize import ModelInput
from service.imaging.views import view_of
from service.manifest import ModelManifest, NoveltyManifest
from service.package import GraphRunner, PackageError, open_companion
from service.settings import Settings

DECIMALS = 4


class Companion:
    """Runs a companion's graph; may be used by several threads at once."""

    def __init__(self, package: GraphRunner[NoveltyManifest]) -> None:
        self._package, self.manifest = package, package.manifest
        self._column = self.manifest.measures.index(self.manifest.measure)
        self._quantiles = np.array(self.manifest.quantiles)
        self._shares = np.linspace(0, 1, len(self._quantiles))

    def judge(self, images: Sequence[ModelInput]) -> list[float]:
        """The novelty of each image, 0 to 1: the share of the training photos that were held out
        which are nearer to the others than it is. Of what gives no number it is 1."""
        views = np.stack([view_of(image, self.manifest.input) for image in images])
        distances = self._package.run({"images": views})["distances"][:, self._column]
        shares = np.interp(distances, self._quantiles, self._shares)
        novelties: list[float] = np.nan_to_num(shares, nan=1.0).round(DECIMALS).tolist()
        return novelties


def load_companion(folder: Path, watched: ModelManifest, settings: Settings) -> Companion:
    """The companion in ``folder`` of the package that ``watched`` is of, run once. Raises
    PackageError if it is unfit, or was made for another graph."""
    package = open_companion(folder, public_keys=settings.public_keys)
    manifest = package.manifest
    if manifest.companion_of.sha256 != watched.sha256:
        raise PackageError(
            f"{folder}: was made for another graph than that of {watched.name}/{watched.version};"
            " `python -m export novelty` makes its own"
        )
    side = manifest.input
    package.run({"images": np.zeros((1, side.height, side.width, 3), np.uint8)})
    return Companion(package)

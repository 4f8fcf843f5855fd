"""Serving a classifier."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.imaging.resize import ModelInput
from service.inference.task import Row
from service.manifest import ClassificationManifest
from service.package import GraphRunner
from service.parameters import ClassifyParameters
from service.problems import Problem, quoted

SCORE_DECIMALS = 6


@dataclass(frozen=True)
class ClassificationQuery:
    """What a request asks of a classifier."""

    top_k: int


class Classifier:
    """Runs a classifier's graph; any images go together."""

    rows_name = "classifications"

    def __init__(self, package: GraphRunner[ClassificationManifest]) -> None:
        self._package, self.manifest = package, package.manifest

    def to_query(self, parameters: ClassifyParameters) -> ClassificationQuery:
        top_k, classes = self.manifest.top_k(parameters.top_k), len(self.manifest.labels)
        if top_k > classes:
            raise Problem(
                "invalid_parameter",
                f"top_k = {quoted(top_k)}: {self.manifest.name} has only {classes} classes.",
            )
        return ClassificationQuery(top_k)

    def group(self, image: ModelInput, query: ClassificationQuery) -> Hashable:
        return image.pixels.shape  # another one is of a package that was just replaced

    def run(
        self,
        images: Sequence[ModelInput],
        queries: Sequence[ClassificationQuery],
        *,
        alone: bool = False,
    ) -> list[list[Row]]:
        pixels = np.stack([image.pixels for image in images])
        probabilities = self._package.run({"images": pixels}, alone=alone)["probabilities"]
        return [
            self._to_rows(row, query.top_k)
            for query, row in zip(queries, probabilities, strict=True)
        ]

    def _to_rows(self, probabilities: npt.NDArray[np.float32], top_k: int) -> list[Row]:
        best = np.argsort(-probabilities, kind="stable")[:top_k]
        scores = probabilities[best].astype(np.float64).round(SCORE_DECIMALS)
        return [
            {
                "label": self.manifest.labels[index].name,
                "label_id": self.manifest.labels[index].id,
                "score": score,
            }
            for index, score in zip(best, scores.tolist(), strict=True)
        ]

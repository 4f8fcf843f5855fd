"""Models that run without a graph, for tests of what is around them."""

import threading
from collections.abc import Hashable, Sequence
from contextlib import nullcontext

from service.imaging.resize import ModelInput
from service.inference.affinity import CorePool
from service.inference.decoder import Decoder
from service.inference.layout import Layout
from service.inference.model import LoadedModel, Shared
from service.inference.task import Row
from service.manifest import ModelManifest
from service.package import PackageError
from service.parameters import RequestParameters
from service.provenance import Accuracy
from service.repository.store import Candidate, Reference
from service.settings import Settings

LAYOUT = Layout(concurrent_runs=1, threads=1, max_batch_size=4, decode_threads=0, latency_threads=1)
SHARED = Shared(
    cores=CorePool(()),
    images_in_service=lambda: 1,
    hold_memory=lambda number: nullcontext(),
    on_batch=lambda model, size: None,
)


class Blocking:
    """Answers every image with its version, once ``gate`` is open."""

    rows_name = "classifications"

    def __init__(self, manifest: ModelManifest, gate: threading.Event) -> None:
        self.manifest, self.gate = manifest, gate
        self.images = 0

    def to_query(self, parameters: RequestParameters) -> None:
        return None

    def group(self, image: ModelInput, query: None) -> Hashable:
        return None

    def run(
        self, images: Sequence[ModelInput], queries: Sequence[None], *, alone: bool = False
    ) -> list[list[Row]]:
        assert self.gate.wait(10)
        self.images += len(images)
        return [[{"version": self.manifest.version, "score": 1.0}] for _ in images]


class Loader:
    """Makes a `LoadedModel` of any candidate; notes what it has loaded.

    bytes: that the next model takes. broken: references that cannot be loaded. top1: what was
    measured of a model, where it was.
    """

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self.gate = threading.Event()  # of the models' runs
        self.gate.set()
        self.permit = threading.Event()  # of loading itself
        self.permit.set()
        self.bytes = 100
        self.broken: set[Reference] = set()
        self.top1: dict[Reference, float] = {}
        self.loaded: list[Reference] = []
        self.models: list[LoadedModel] = []

    def __call__(self, candidate: Candidate) -> LoadedModel:
        assert self.permit.wait(10)
        reference = (candidate.folder.parent.name, candidate.folder.name)
        if reference in self.broken:
            raise PackageError(f"{candidate.folder}: is broken")
        self.loaded.append(reference)
        predictor = Blocking(self.manifest(reference), self.gate)
        decoder = Decoder(predictor.manifest.input, Settings(), SHARED.hold_memory, threads=0)
        model = LoadedModel(predictor, decoder, LAYOUT, SHARED, "cpu", "fp32", self.bytes)
        self.models.append(model)
        return model

    def manifest(self, reference: Reference) -> ModelManifest:
        name, version = reference
        metrics = {"top1": self.top1[reference]} if reference in self.top1 else None
        accuracy = metrics and Accuracy(data="val", images=9, metrics=metrics)
        update = {"name": name, "version": version, "accuracy": accuracy}
        return self._manifest.model_copy(update=update)

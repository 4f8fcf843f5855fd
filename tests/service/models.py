"""Models that run without a graph, for tests of what is around them."""

import threading
from collections.abc import Hashable, Sequence

from service.inference.affinity import CorePool
from service.inference.model import Layout, ServedModel
from service.inference.task import Job, Row
from service.manifest import ModelManifest
from service.package import PackageError
from service.parameters import RequestParameters
from service.repository.store import Candidate, Reference


class Blocking:
    """Answers every image with its version, once ``gate`` is open."""

    rows_name = "classifications"

    def __init__(self, manifest: ModelManifest, gate: threading.Event) -> None:
        self.manifest, self.gate = manifest, gate
        self.images = 0

    def to_query(self, parameters: RequestParameters) -> None:
        return None

    def group(self, job: Job[None]) -> Hashable:
        return None

    def run(self, jobs: Sequence[Job[None]], *, alone: bool = False) -> list[list[Row]]:
        assert self.gate.wait(10)
        self.images += len(jobs)
        return [[{"version": self.manifest.version}] for _ in jobs]


class Loader:
    """Makes a `ServedModel` of any candidate; notes what it has loaded.

    bytes: that the next model takes. broken: references that cannot be loaded.
    """

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self.gate = threading.Event()  # of the models' runs
        self.gate.set()
        self.permit = threading.Event()  # of loading itself
        self.permit.set()
        self.bytes = 100
        self.broken: set[Reference] = set()
        self.loaded: list[Reference] = []
        self.models: list[ServedModel] = []

    def __call__(self, candidate: Candidate) -> ServedModel:
        assert self.permit.wait(10)
        reference = (candidate.folder.parent.name, candidate.folder.name)
        if reference in self.broken:
            raise PackageError(f"{candidate.folder}: is broken")
        self.loaded.append(reference)
        layout = Layout("cpu", "fp32", 1, 1, 4, self.bytes)
        model = ServedModel(
            Blocking(self.manifest(reference), self.gate), layout, _ignore, lambda: 1, CorePool(())
        )
        self.models.append(model)
        return model

    def manifest(self, reference: Reference) -> ModelManifest:
        name, version = reference
        return self._manifest.model_copy(update={"name": name, "version": version})


def _ignore(model: str, size: int) -> None:
    pass

"""Versions on trial without a graph or a process, which do what a test asks of them."""

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.imaging.resize import ModelInput
from service.inference.decoder import Decoder
from service.inference.isolated import ProcessEnded, Trial
from service.inference.model import LoadedModel, Shared
from service.inference.task import Row
from service.manifest import MANIFEST_FILE, ModelManifest, read_manifest
from service.package import PackageError
from service.parameters import RequestParameters
from service.settings import Settings
from tests.service.models import LAYOUT


@dataclass
class Process:
    """In place of a `PackageProcess`."""

    fault: str | None = None
    memory_bytes: int = 12_345
    closed: bool = False

    def close(self) -> None:
        self.closed = True


class Version:
    """Answers every image with ``label``; ``fails`` and ``hangs`` while they are set."""

    rows_name = "classifications"

    def __init__(self, manifest: ModelManifest, process: Process | None) -> None:
        self.manifest, self.process = manifest, process
        self.label = manifest.labels[0]
        self.fails = False
        self.hangs = threading.Event()
        self.released = threading.Event()

    def to_query(self, parameters: RequestParameters) -> None:
        return None

    def group(self, image: ModelInput, query: None) -> Hashable:
        return None

    def run(
        self, images: Sequence[ModelInput], queries: Sequence[None], *, alone: bool = False
    ) -> list[list[Row]]:
        if self.hangs.is_set():
            assert self.released.wait(30)
        if self.process is not None and self.process.fault is not None:
            raise ProcessEnded(self.process.fault)
        if self.fails:
            raise RuntimeError("it fails")
        row = {"label": self.label.name, "label_id": self.label.id, "score": 0.5}
        return [[row] for _ in images]


class Loads:
    """In place of `load_model`. versions: the last that was loaded of each folder's name.

    broken: versions that cannot be loaded on trial.
    """

    def __init__(self) -> None:
        self.versions: dict[str, Version] = {}
        self.trials: list[tuple[str, Trial | None]] = []
        self.broken: set[str] = set()

    def __call__(
        self,
        folder: Path,
        settings: Settings,
        shared: Shared,
        trial: Trial | None = None,
        companion: Path | None = None,
    ) -> LoadedModel:
        if trial is not None and folder.name in self.broken:
            raise PackageError(f"{folder}: is broken")
        process = None if trial is None else Process()
        version = Version(read_manifest(folder / MANIFEST_FILE), process)
        self.versions[folder.name] = version
        self.trials.append((folder.name, trial))
        decoder = Decoder(version.manifest.input, settings, shared.hold_memory, threads=0)
        return LoadedModel(
            version, decoder, LAYOUT, shared, "cpu", "fp32", 1000, trial=trial, process=process
        )

"""How Boxport's cost grows with the photos of a request, their size, the models loaded, the
requests in service and the workers."""

import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.boxport import NAME, boxport, requests_of
from benchmarks.drive import drive, settle
from benchmarks.load import Request
from benchmarks.packages import VERSION, Model, make_store
from benchmarks.peers.table import BOUNDARY
from benchmarks.photos import photo_of
from benchmarks.results import Results
from benchmarks.server import Server
from service.cpus import available_cpus
from service.manifest import GRAPH_FILE, MANIFEST_FILE, read_manifest

IMAGES = (1, 2, 4, 8, 16, 32)
MEGAPIXELS = (0.1, 0.5, 1, 3, 6, 12, 24)
LOADED = (1, 2, 4, 8)
WAITING = (1, 16, 64, 250, 1000)

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Growth:
    """The measurements, which go into ``results``.

    model: the one that requests name. source: folder of photos that large ones are made from.
    small: folder of small photos. cache: folder that keeps the large ones. seconds: of each load.
    """

    model: Model
    source: Path
    small: Path
    cache: Path
    seconds: float
    results: Results

    @property
    def steps(self) -> int:
        return sum(map(len, (IMAGES, MEGAPIXELS, LOADED, WAITING))) + available_cpus()

    def run(self, on_step: OnStep) -> None:
        for measure in (self.images, self.sizes, self.loaded, self.waiting, self.workers):
            measure(on_step)

    def images(self, on_step: OnStep) -> None:
        """By the photos of one request, on one connection."""
        contents = [photo.read_bytes() for photo in sorted(self.small.glob("*.jpg"))]
        with self._serving() as (server, folder):
            for number in IMAGES:
                on_step(f"{number} photos a request")
                request = form_of(contents[:number], self.model.path)
                figures = drive(server, [request], folder, self.seconds, connections=1)
                self._record("images", number, figures)

    def sizes(self, on_step: OnStep) -> None:
        """By the megapixels of a photo, on one connection and on 16."""
        with self._serving() as (server, folder):
            for megapixels in MEGAPIXELS:
                on_step(f"photos of {megapixels} megapixels")
                photos = photo_of(self.source, megapixels, self.cache / f"{megapixels}mp")
                requests = requests_of(photos, self.model.path)
                alone = drive(server, requests, folder, self.seconds, connections=1)
                together = drive(server, requests, folder, self.seconds)
                figures = {**together, "p50_ms": alone["p50_ms"], "p99_ms": alone["p99_ms"]}
                self._record("megapixels", megapixels, figures)

    def loaded(self, on_step: OnStep) -> None:
        """By the models loaded: copies of one under several names, of which one is used."""
        for number in LOADED:
            on_step(f"{number} models loaded")
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for copy in range(number):
                    copy_package(self.model.package, folder / "store" / f"copy{copy}" / VERSION)
                with boxport(folder / "store", folder) as server:
                    figures = drive(server, self._requests, folder, self.seconds)
                    usage = server.usage()
                    more = {"pss_mb": usage.pss / 1e6, "start_s": server.start_seconds}
                    self._record("models", number, {**figures, **more})

    def waiting(self, on_step: OnStep) -> None:
        """By the requests in service at once, nearly all of them waiting."""
        with self._serving(
            max_images_in_service=2 * WAITING[-1],
            request_timeout_ms=60_000,
            max_request_timeout_ms=60_000,
        ) as (server, folder):
            for number in WAITING:
                on_step(f"{number} requests at once")
                settle(server)
                figures = drive(server, self._requests, folder, self.seconds, connections=number)
                usage = server.usage()
                self._record("waiting", number, {**figures, "pss_mb": usage.pss / 1e6})

    def workers(self, on_step: OnStep) -> None:
        """By the worker processes, up to one for each processor."""
        for number in range(1, available_cpus() + 1):
            on_step(f"{number} workers")
            with self._serving(workers=number) as (server, folder):
                figures = drive(server, self._requests, folder, self.seconds)
                usage = server.usage()
                self._record("workers", number, {**figures, "pss_mb": usage.pss / 1e6})

    @property
    def _requests(self) -> Sequence[Request]:
        return requests_of(self.small, self.model.path)

    @contextmanager
    def _serving(self, **settings: object) -> Iterator[tuple[Server, Path]]:
        """Boxport with the one model, and a folder for the load generator's files."""
        with tempfile.TemporaryDirectory() as folder:
            store = make_store([self.model.package], Path(folder) / "store")
            with boxport(store, Path(folder), **settings) as server:
                yield server, Path(folder)

    def _record(self, what: str, number: float, figures: dict[str, float]) -> None:
        self.results.add(
            figures, system=NAME, model=self.model.name, photos=f"growth {what}", load=f"{number:g}"
        )


def form_of(photos: Sequence[bytes], path: str) -> Request:
    """One request with all ``photos``."""
    head = 'Content-Disposition: form-data; name="images"; filename="photo.jpg"'
    parts = [
        f"--{BOUNDARY}\r\n{head}\r\nContent-Type: image/jpeg\r\n\r\n".encode() + photo + b"\r\n"
        for photo in photos
    ]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return Request("photos", "POST", path, {"Content-Type": content_type}, b64encode(body).decode())


def copy_package(source: Path, folder: Path) -> None:
    """Copy the package to ``folder``, <name>/<version>, with these in its manifest."""
    folder.mkdir(parents=True)
    manifest = read_manifest(source / MANIFEST_FILE)
    renamed = manifest.model_copy(update={"name": folder.parent.name, "version": folder.name})
    renamed.write(folder / MANIFEST_FILE)
    shutil.copy(source / GRAPH_FILE, folder)

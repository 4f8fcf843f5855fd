"""Opening a model package: its manifest, its graph, and proof that the two belong together."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from google.protobuf.message import DecodeError
from typing_extensions import TypeVar

from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    REGIONS,
    ManifestError,
    ModelManifest,
    NoveltyManifest,
    PackageManifest,
    read_any_manifest,
    read_manifest,
)
from service.manifest_file import read_file
from service.providers import CPU, OPENVINO, ExecutionProvider
from service.runtime.bound_session import BoundSession, GraphCaptureError
from service.runtime.graph_facts import check_facts
from service.runtime.onnx_model import (
    ExternalDataError,
    check_self_contained,
    opset_of,
    read_model,
)
from service.runtime.sessions import Device, Session, open_sessions
from service.signature import SignatureError, check_signature
from service.terminal import one_line

Array = npt.NDArray[Any]
Manifest = TypeVar("Manifest", bound=PackageManifest, default=ModelManifest, covariant=True)
OneManifest = TypeVar("OneManifest", bound=PackageManifest)
Read = Callable[[Path], OneManifest]  # raises ManifestError


class PackageError(Exception):
    """A package that must not be served; the message says which and why."""


class GraphRunner(Protocol[Manifest]):
    """What runs a package's graph: `ModelPackage`, or `PackageProcess` in another process."""

    @property
    def manifest(self) -> Manifest: ...

    def run(self, feeds: dict[str, Array], *, alone: bool = False) -> dict[str, Array]:
        """See `ModelPackage.run`."""


@dataclass(frozen=True)
class ModelPackage(Generic[Manifest]):
    """A package that is fit to run. ``session`` may be used by several threads at once.

    provider: the name of the execution provider that the session has.
    batches: the batch sizes that are run, ascending; fewer images are filled up to the next with
        black ones. Empty: each batch as it comes.
    bound: runs the session through buffers on its device, where it has memory of its own.
    latency_session: for a run that has the machine to itself.
    weights: what the sessions read from and do not own.
    """

    manifest: Manifest
    session: Session
    provider: str = CPU.name
    batches: tuple[int, ...] = ()
    bound: BoundSession | None = None
    latency_session: Session | None = None
    weights: tuple[ort.OrtValue, ...] = ()

    def run(self, feeds: dict[str, Array], *, alone: bool = False) -> dict[str, Array]:
        """Outputs by name, as many rows as there are images.

        alone: whether no other run wants the processors.
        """
        names = [output.name for output in self.manifest.outputs]
        number = len(feeds["images"])
        size = next((size for size in self.batches if size >= number), number)
        if size > number:
            empty = size - number
            rows = {name: feeds[name] for name in ("images", REGIONS) if name in feeds}
            filled = {
                n: np.pad(v, ((0, empty), *((0, 0),) * (v.ndim - 1))) for n, v in rows.items()
            }
            feeds = {**feeds, **filled}
        if self.bound is not None:
            outputs = self.bound.run(feeds)
        else:
            session = (alone and self.latency_session) or self.session
            outputs = dict(zip(names, session.run(names, feeds), strict=True))
        return {name: values[:number] for name, values in outputs.items()}


def find_packages(store: Path) -> list[Path]:
    """The folders of all packages in a model store, by name; raises PackageError if it has none.

    Hidden ones are skipped: packages are written under a hidden name.
    """
    if not store.is_dir():
        raise PackageError(f"{store}: there is no such folder; set BOXPORT_MODEL_STORE")
    folders = sorted(path.parent for path in store.glob(f"[!.]*/[!.]*/{MANIFEST_FILE}"))
    if not folders:
        raise PackageError(f"{store}: holds no package (<name>/<version>/{MANIFEST_FILE})")
    return folders


def verify_package(folder: Path, public_keys: Sequence[Path] = ()) -> ModelManifest:
    """The manifest of the package ``<name>/<version>/``, once its files are what it says.

    With ``public_keys``, PEM files, one of them must have signed all of its files. Raises
    PackageError if none has, if a file is missing or damaged, if the folder's name is not the
    manifest's, if the graph reads another file or differs
    from it in hash, opset or what else it shows.
    """
    return _verified(folder, public_keys, read_manifest)


def verify_any_package(folder: Path, public_keys: Sequence[Path] = ()) -> PackageManifest:
    """The same of a package of any task."""
    return _verified(folder, public_keys, read_any_manifest)


def _verified(folder: Path, public_keys: Sequence[Path], read: Read[OneManifest]) -> OneManifest:
    graph = folder / GRAPH_FILE
    try:
        if public_keys:  # first: what is not signed is not even parsed
            check_signature(folder, public_keys)
        manifest = read(folder / MANIFEST_FILE)
        if (folder.parent.name, folder.name) != (manifest.name, manifest.version):
            raise PackageError(
                f"{folder}: its manifest is of {manifest.name}/{manifest.version};"
                " name the folder after it"
            )
        content = read_file(graph)
        if hashlib.sha256(content).hexdigest() != manifest.sha256:
            raise PackageError(f"{graph}: its sha256 is not the manifest's")
        model = read_model(content)
        check_self_contained(model)
    except (ManifestError, SignatureError) as error:
        raise PackageError(str(error)) from error
    except OSError as error:
        raise PackageError(f"{error.filename}: {error.strerror}") from error
    except DecodeError as error:
        raise PackageError(f"{graph}: is no ONNX file") from error
    except ExternalDataError as error:
        raise PackageError(f"{graph}: {error}") from error
    if (opset := opset_of(model)) != manifest.opset:
        raise PackageError(f"{graph}: has opset {opset}, the manifest says {manifest.opset}")
    if (fault := check_facts(manifest, model)) is not None:
        raise PackageError(f"{graph}: {fault}")
    return manifest


def open_package(
    folder: Path,
    threads: int = 1,
    public_keys: Sequence[Path] = (),
    device: Device | None = None,
    batches: tuple[int, ...] = (),
) -> ModelPackage:
    """Verify a package and make it ready to run, on CPU with ``threads`` unless ``device`` says
    more.

    Raises PackageError as `verify_package` does, if ONNX Runtime refuses the graph, if its inputs
    or outputs differ from the manifest, or if the session has less than the device asked for.
    """
    return _opened(folder, verify_package(folder, public_keys), threads, device, batches)


def open_companion(
    folder: Path, threads: int = 1, public_keys: Sequence[Path] = (), device: Device | None = None
) -> ModelPackage[NoveltyManifest]:
    """The same of a companion: see `NoveltyManifest`."""
    manifest = verify_any_package(folder, public_keys)
    if not isinstance(manifest, NoveltyManifest):
        raise PackageError(f"{folder}: is no companion; it does {manifest.task}")
    return _opened(folder, manifest, threads, device, ())


def _opened(
    folder: Path,
    manifest: OneManifest,
    threads: int,
    device: Device | None,
    batches: tuple[int, ...],
) -> ModelPackage[OneManifest]:
    device = device or Device(threads=threads)
    graph = folder / GRAPH_FILE
    try:
        sessions = open_sessions(graph, device, batches)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        runtime = "OpenVINO" if device.providers[0] is OPENVINO else "ONNX Runtime"
        raise PackageError(f"{graph}: {runtime} refuses it: {one_line(error)}") from error
    _check_interface(folder, manifest, sessions.throughput)
    row = _provider_of(sessions.throughput, device, folder)
    bound = None
    if row.memory is not None and isinstance(sessions.throughput, ort.InferenceSession):
        try:
            bound = BoundSession(
                sessions.throughput,
                manifest.outputs,
                row.memory,
                device.number,
                capture=device.capture,
            )
        except GraphCaptureError as error:
            raise PackageError(f"{folder}: {error}") from error
    return ModelPackage(
        manifest, sessions.throughput, row.name, batches, bound, sessions.latency, sessions.weights
    )


def _provider_of(session: Session, device: Device, folder: Path) -> ExecutionProvider:
    """What the session runs on: ONNX Runtime leaves out, with a warning only, what it
    cannot start, such as CUDA without its libraries."""
    has = session.get_providers()
    first = device.providers[0]
    if first.ort_name in has or device.allow_fallback:
        rows = [*device.providers, CPU]
        return next(row for row in rows if row.ort_name in has)
    raise PackageError(
        f"{folder}: {first.name} was asked for, and ONNX Runtime could not start it: the session"
        f" has {', '.join(has)}. Are its driver and libraries there?"
    )


def _check_interface(folder: Path, manifest: PackageManifest, session: Session) -> None:
    """Compare names, types and fixed dimensions of inputs and outputs."""
    # OpenVINO keeps no names of sizes that vary
    vary = str if isinstance(session, ort.InferenceSession) else lambda size: None
    for kind, stated, found in (
        ("inputs", manifest.inputs, session.get_inputs()),
        ("outputs", manifest.outputs, session.get_outputs()),
    ):
        expected = [
            (t.name, f"tensor({t.dtype})", [s if isinstance(s, int) else vary(s) for s in t.shape])
            for t in stated
        ]
        actual = [(t.name, t.type, list(t.shape)) for t in found]
        if expected != actual:
            raise PackageError(f"{folder}: {kind} are {actual}, the manifest says {expected}")

"""Checks of a package from its files alone, without the checkpoint that it came from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from export.onnx.checks import GraphError, check_graph
from export.onnx.trace import describe
from export.parity.answers import AnswerError, check_answer, check_batch, check_settings
from export.parity.model import Image
from export.photos import read_photos
from export.report import REPORT_FILE, manifest_mark
from service.imaging.files import PhotoError
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    ManifestError,
    ModelManifest,
    Tensor,
    read_manifest,
)
from service.package import ModelPackage, PackageError, open_package, verify_package
from service.signature import SIGNATURE_FILE, SignatureError, check_signature, read_signature

BATCH_SIZES = (2, 8)  # in which photos must be answered as they are alone


class Fault(Exception):
    """What is wrong with a package; the message is one line."""


class NothingToCheck(Exception):
    """A check that does not concern a package; the message says why."""


FAULTS = (
    Fault,
    ManifestError,
    SignatureError,
    PackageError,
    GraphError,
    AnswerError,
    PhotoError,
)


@dataclass(frozen=True)
class Check:
    """One check and its outcome; ``passed`` is None where there was nothing to check."""

    name: str
    passed: bool | None
    detail: str


@dataclass
class Subject:
    """A package under check. What a check could read is there for those that follow."""

    folder: Path
    photo_folder: Path
    public_keys: Sequence[Path]
    manifest: ModelManifest | None = None
    model: onnx.ModelProto | None = None
    package: ModelPackage | None = None
    photos: list[Image] | None = None


def verify(folder: Path, photos: Path, public_keys: Sequence[Path] = ()) -> Iterator[Check]:
    """Each check's outcome, as it is known; ``photos`` is a folder of photos to run the graph on.

    What cannot be checked, since what it builds on is broken, has not passed.
    """
    subject = Subject(folder, photos, public_keys)
    for name, step, needs in CHECKS:
        if any(getattr(subject, need) is None for need in needs):
            yield Check(name, False, "could not be checked, see above")
            continue
        try:
            yield Check(name, True, step(subject))
        except NothingToCheck as reason:
            yield Check(name, None, str(reason))
        except FAULTS as fault:
            yield Check(name, False, str(fault))
        except OSError as error:
            yield Check(name, False, f"{error.filename}: {error.strerror}")


def check_manifest(subject: Subject) -> str:
    subject.manifest = read_manifest(subject.folder / MANIFEST_FILE)
    return f"schema {subject.manifest.schema_version}"


def check_signed(subject: Subject) -> str:
    """A signature is needed where keys are given; without keys nothing can be said of it."""
    folder = subject.folder
    if subject.public_keys:
        content = (folder / MANIFEST_FILE).read_bytes()
        return f"by {check_signature(folder, content, subject.public_keys)}"
    if (folder / SIGNATURE_FILE).exists():
        read_signature(folder)
        raise NothingToCheck("there is one; --public-key names the key to check it with")
    raise NothingToCheck("there is none")


def check_files(subject: Subject) -> str:
    """Folder name, hash and opset, as the service checks them."""
    manifest = verify_package(subject.folder)
    return f"sha256 {manifest.sha256[:12]}…, opset {manifest.opset}, as the manifest says"


def check_onnx(subject: Subject) -> str:
    """ONNX's own checker, and what it lets pass that no package may have."""
    graph = subject.folder / GRAPH_FILE
    assert subject.manifest is not None
    try:
        onnx.checker.check_model(str(graph), full_check=True)
        subject.model = onnx.load(graph)
    except (
        DecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise Fault(f"{GRAPH_FILE}: {str(error).strip().splitlines()[0]}") from error
    check_graph(subject.model, subject.manifest.opset)
    return f"{len(subject.model.graph.node):,} nodes, all ONNX's own operators"


def check_interface(subject: Subject) -> str:
    """Names, types and shapes; and as many classes as there are labels."""
    assert subject.manifest is not None
    assert subject.model is not None
    manifest, graph = subject.manifest, subject.model.graph
    for kind, stated, found in (
        ("inputs", manifest.inputs, describe(graph.input)),
        ("outputs", manifest.outputs, describe(graph.output)),
    ):
        if stated != found:
            raise Fault(f"{kind} are {_told(found)}, the manifest says {_told(stated)}")
    classes = manifest.outputs[0].shape[-1]
    if manifest.task == "classification" and classes != len(manifest.labels):
        raise Fault(f"the graph has {classes} classes, the manifest {len(manifest.labels)} labels")
    return ", ".join(t.name for t in (*manifest.inputs, *manifest.outputs))


def check_opens(subject: Subject) -> str:
    subject.package = open_package(subject.folder, threads=0)
    return "ONNX Runtime opens it"


def check_answers(subject: Subject) -> str:
    """Types, shapes, ranges and order of the answers to photos."""
    package = _opened(subject)
    spec = package.manifest.input
    notes: list[str] = []
    photos = read_photos(subject.photo_folder, spec, notes.append)
    subject.photos = [photo.pixels for photo in photos]
    counts = [check_answer(package, photo) for photo in subject.photos]
    what = "detections" if package.manifest.task == "detection" else "probabilities"
    found = f"{sum(counts):,} {what} in {len(counts)} photos: finite, in range and in order"
    return "; ".join([found, *notes])


def check_thresholds(subject: Subject) -> str:
    package = _opened(subject)
    if package.manifest.task == "classification":
        raise NothingToCheck("a classifier has none")
    for photo in subject.photos or []:
        check_settings(package, photo)
    return "score, overlap, number and competing classes, all obeyed"


def check_batches(subject: Subject) -> str:
    """Photos are answered in batches as they are alone; where sizes vary, those of one size."""
    package, photos = _opened(subject), subject.photos or []
    alike = [photo for photo in photos if photo.shape == photos[0].shape]
    for size in BATCH_SIZES:
        check_batch(package, [alike[i % len(alike)] for i in range(size)])
    return (
        f"alone and in batches of {' and '.join(map(str, BATCH_SIZES))} photos are answered alike"
    )


def check_report(subject: Subject) -> str:
    page = (subject.folder / REPORT_FILE).read_text(encoding="utf-8", errors="replace")
    if manifest_mark((subject.folder / MANIFEST_FILE).read_bytes()) not in page:
        raise Fault(f"{REPORT_FILE} is of another manifest; this one was changed after the export")
    return f"{REPORT_FILE} is of this manifest"


Step = Callable[[Subject], str]
CHECKS: tuple[tuple[str, Step, tuple[str, ...]], ...] = (
    ("manifest", check_manifest, ()),
    ("signature", check_signed, ()),
    ("files", check_files, ("manifest",)),
    ("graph", check_onnx, ("manifest",)),
    ("interface", check_interface, ("manifest", "model")),
    ("runtime", check_opens, ("manifest",)),
    ("answers", check_answers, ("package",)),
    ("thresholds", check_thresholds, ("package", "photos")),
    ("batches", check_batches, ("package", "photos")),
    ("report", check_report, ("manifest",)),
)


def _opened(subject: Subject) -> ModelPackage:
    assert subject.package is not None  # `verify` sees to it
    return subject.package


def _told(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in tensors)

"""Checks of a package from its files, without the checkpoint that it came from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.shape_inference import infer_shapes

from export.errors import ExportError
from export.evaluation.photo_set import read_photos, spread
from export.onnx.checks import check_graph
from export.onnx.trace import describe
from export.parity.answers import check_answer, check_batch, check_settings
from export.parity.cases import LARGE_BATCH, distinct_images
from export.parity.model import Image
from export.report import REPORT_FILE, manifest_mark
from service.imaging.files import PhotoError
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    ManifestError,
    NoveltyManifest,
    PackageManifest,
    PackageTask,
    Tensor,
    read_any_manifest,
)
from service.manifest_file import read_file
from service.package import (
    ModelPackage,
    PackageError,
    open_companion,
    open_package,
    verify_any_package,
)
from service.runtime.graph_facts import (
    activation_of,
    channel_order_of,
    check_facts,
    classes_of,
    normalisation_of,
)
from service.runtime.onnx_model import ExternalDataError, check_self_contained
from service.signature import (
    LIST_FILE,
    SIGNATURE_FILE,
    SignatureError,
    check_files,
    check_signature,
    read_signature,
)
from service.terminal import one_line

SETTINGS_PHOTOS = 2  # that each of a detector's settings is tried on
ANSWERS: dict[PackageTask, str] = {
    "detection": "detections",
    "classification": "probabilities",
    "novelty": "distances",
}
BATCH_SIZES = (2, LARGE_BATCH)  # in which images must have the answers that they have alone


class Fault(ExportError):
    """What is wrong with a package; the message is one line."""


class NothingToCheck(Exception):
    """A check that does not concern a package; the message says why."""


FAULTS = (ExportError, ManifestError, SignatureError, PackageError, PhotoError)


@dataclass(frozen=True)
class Check:
    """One check and its outcome; ``passed`` is None where there was nothing to check."""

    name: str
    passed: bool | None
    detail: str


class Subject:
    """A package under check. What several checks read is read once, and raises one of `FAULTS` or
    OSError where it cannot be read."""

    def __init__(self, folder: Path, photo_folder: Path, public_keys: Sequence[Path]) -> None:
        self.folder, self.photo_folder, self.public_keys = folder, photo_folder, public_keys

    @cached_property
    def manifest(self) -> PackageManifest:
        return read_any_manifest(self.folder / MANIFEST_FILE)

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The graph, once ONNX's own checker has accepted it."""
        content = read_file(self.folder / GRAPH_FILE)
        try:
            # as it is in the file: what reads the weights elsewhere takes their mark away
            check_self_contained(model := onnx.load_from_string(content))
            onnx.checker.check_model(content, full_check=True)
            return model
        except ExternalDataError as error:
            raise Fault(f"{GRAPH_FILE}: {error}") from error
        except (
            DecodeError,
            onnx.checker.ValidationError,
            onnx.shape_inference.InferenceError,
        ) as error:
            raise Fault(f"{GRAPH_FILE}: {str(error).strip().splitlines()[0]}") from error

    @cached_property
    def inferred(self) -> onnx.ModelProto:
        """The graph, with the shapes that follow from it."""
        return infer_shapes(self.model)

    @cached_property
    def package(self) -> ModelPackage[PackageManifest]:
        is_companion = isinstance(self.manifest, NoveltyManifest)
        opened = open_companion if is_companion else open_package
        return opened(self.folder, threads=0)

    @cached_property
    def photos(self) -> list[Image]:
        return [photo.pixels for photo in read_photos(self.photo_folder, self.manifest.input)]

    def has(self, part: str) -> bool:
        """Whether one of the properties above can be read."""
        try:
            getattr(self, part)
        except Exception:
            return False
        return True


def verify(folder: Path, photos: Path, public_keys: Sequence[Path] = ()) -> Iterator[Check]:
    """Each check's outcome, as it is known; ``photos`` is a folder of photos to run the graph on.

    What cannot be checked, because something that it needs is broken, has not passed.
    """
    subject = Subject(folder, photos, public_keys)
    for name, step, needs in CHECKS:
        if not all(subject.has(part) for part in needs):
            yield Check(name, False, "could not be checked, see above")
            continue
        try:
            yield Check(name, True, step(subject))
        except NothingToCheck as reason:
            yield Check(name, None, str(reason))
        except FAULTS as fault:
            yield Check(name, False, one_line(fault))
        except OSError as error:
            yield Check(name, False, f"{error.filename}: {error.strerror}")
        except Exception as error:  # ONNX Runtime's and protobuf's have no common base of their own
            yield Check(name, False, f"{type(error).__name__}: {one_line(error)}")


def check_manifest(subject: Subject) -> str:
    return f"read as schema {subject.manifest.schema_version}"


def check_signed(subject: Subject) -> str:
    """Where keys are given a signature is needed; without keys it cannot be checked."""
    folder = subject.folder
    if subject.public_keys:
        return f"all files, by {check_signature(folder, subject.public_keys)}"
    if (folder / SIGNATURE_FILE).exists():
        read_signature(folder)
        check_files(folder, read_file(folder / LIST_FILE))
        raise NothingToCheck("there is one; --public-key names the key to check it with")
    raise NothingToCheck("there is none")


def check_package(subject: Subject) -> str:
    """Folder name, hash and opset, as the service checks them."""
    manifest = verify_any_package(subject.folder)
    return f"sha256 {manifest.sha256[:12]}…, opset {manifest.opset}, as the manifest says"


def check_onnx(subject: Subject) -> str:
    """ONNX's own checker, and what it accepts that no package may have."""
    check_graph(subject.model, subject.manifest.opset)
    return f"{len(subject.model.graph.node):,} nodes, all ONNX's own operators"


def check_interface(subject: Subject) -> str:
    """Names, types and shapes; and as many classes as there are labels."""
    manifest, graph = subject.manifest, subject.model.graph
    for kind, stated, found in (
        ("inputs", manifest.inputs, describe(graph.input)),
        ("outputs", manifest.outputs, describe(graph.output)),
    ):
        if stated != found:
            raise Fault(f"{kind} are {_listed(found)}, the manifest says {_listed(stated)}")
    if (fault := check_facts(manifest, subject.inferred)) is not None:
        raise Fault(fault)
    return ", ".join(t.name for t in (*manifest.inputs, *manifest.outputs))


def check_opens(subject: Subject) -> str:
    return f"ONNX Runtime opens it, on {subject.package.provider}"


def check_answers(subject: Subject) -> str:
    """Types, shapes, ranges and order of the answers to photos."""
    counts = [check_answer(subject.package, photo) for photo in subject.photos]
    found = f"{sum(counts):,} {ANSWERS[subject.manifest.task]} in {len(counts)} photos"
    return f"{found}: finite, in range and in order"


def check_thresholds(subject: Subject) -> str:
    if subject.manifest.task != "detection":
        raise NothingToCheck("only a detector has some")
    detector = open_package(subject.folder, threads=0)
    for photo in spread(subject.photos, SETTINGS_PHOTOS):
        check_settings(detector, photo)
    return "score, overlap, number and classes that suppress each other, all obeyed"


def check_batches(subject: Subject) -> str:
    """Images have the same answers in batches as alone, and no two of a batch are alike."""
    for size in BATCH_SIZES:
        check_batch(subject.package, distinct_images(subject.photos, size))
    return f"the same answers alone and in batches of {' and '.join(map(str, BATCH_SIZES))} photos"


def check_report(subject: Subject) -> str:
    page = read_file(subject.folder / REPORT_FILE).decode(errors="replace")
    if manifest_mark(read_file(subject.folder / MANIFEST_FILE)) not in page:
        raise Fault(f"{REPORT_FILE} is of another manifest; this one was changed after the export")
    return f"{REPORT_FILE} is of this manifest"


def check_claims(subject: Subject) -> str:
    """Name what no file can prove: of these a report shows that they changed, a signature whose
    word they are."""
    claims = ", ".join(claims_of(subject.manifest, subject.inferred))
    raise NothingToCheck(f"{claims}: nobody can check from the files; a key can sign")


def claims_of(manifest: PackageManifest, model: onnx.ModelProto) -> list[str]:
    """Fields of the manifest that neither the graph nor another file shows to be true or false."""
    shown = set() if manifest.input.varies else {"height", "width"}
    if normalisation_of(model, manifest.input.unit) is not None:
        shown |= {"mean", "std", "scale"}
    if channel_order_of(model) is not None:
        shown.add("channel_order")
    claims = ["names and ids of labels", "defaults within their ranges"]
    if manifest.task == "novelty":
        claims = ["quantiles"]
    if manifest.task == "detection" and classes_of(model) is None:
        claims.append("number of labels")
    if manifest.task == "classification" and activation_of(model) is None:
        claims.append("activation")
    claims += [
        f"input.{field}" for field in type(manifest.input).model_fields if field not in shown
    ]
    claims += ["provenance", "parity"]
    return claims + [part for part in ("accuracy", "floor") if getattr(manifest, part, None)]


Step = Callable[[Subject], str]
CHECKS: tuple[tuple[str, Step, tuple[str, ...]], ...] = (  # name, step, properties that it needs
    ("manifest", check_manifest, ()),
    ("signature", check_signed, ()),
    ("files", check_package, ("manifest",)),
    ("graph", check_onnx, ("manifest",)),
    ("interface", check_interface, ("manifest", "model")),
    ("runtime", check_opens, ("manifest",)),
    ("answers", check_answers, ("package",)),
    ("thresholds", check_thresholds, ("package", "photos")),
    ("batches", check_batches, ("package", "photos")),
    ("report", check_report, ("manifest",)),
    ("claims", check_claims, ("manifest", "model")),
)


def _listed(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in tensors)

"""Opening a model package: its manifest, its graph, and proof that the two belong together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime as ort
from google.protobuf.message import DecodeError

from service.manifest import GRAPH_FILE, MANIFEST_FILE, ManifestError, ModelManifest
from service.opset import read_opset
from service.signature import SignatureError, check_signature

Array = npt.NDArray[Any]


class PackageError(Exception):
    """A package that must not be served; the message says which and why."""


@dataclass(frozen=True)
class ModelPackage:
    """A package that is fit to run. ``session`` may be used by several threads at once."""

    manifest: ModelManifest
    session: ort.InferenceSession

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Outputs by name."""
        names = [output.name for output in self.manifest.outputs]
        return dict(zip(names, self.session.run(names, feeds), strict=True))


def find_packages(store: Path) -> list[Path]:
    """The folders of all packages in a model store, by name; raises PackageError if it has none."""
    if not store.is_dir():
        raise PackageError(f"{store}: there is no such folder; set BOXPORT_MODEL_STORE")
    folders = sorted(path.parent for path in store.glob(f"*/*/{MANIFEST_FILE}"))
    if not folders:
        raise PackageError(f"{store}: holds no package (<name>/<version>/{MANIFEST_FILE})")
    return folders


def verify_package(folder: Path, public_keys: Sequence[Path] = ()) -> ModelManifest:
    """The manifest of the package ``<name>/<version>/``, once its files are what it says.

    With ``public_keys``, PEM files, it must bear the signature of one of them. Raises PackageError
    if it does not, if a file is missing or damaged, if the folder's name is not the manifest's, or
    if the graph's hash or opset differs.
    """
    graph = folder / GRAPH_FILE
    try:
        if public_keys:  # first: what nobody answers for is not even parsed
            check_signature(folder, (folder / MANIFEST_FILE).read_bytes(), public_keys)
        manifest = ModelManifest.read(folder / MANIFEST_FILE)
        if (folder.parent.name, folder.name) != (manifest.name, manifest.version):
            raise PackageError(
                f"{folder}: its manifest is of {manifest.name}/{manifest.version};"
                " name the folder after it"
            )
        with graph.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != manifest.sha256:
            raise PackageError(f"{graph}: its sha256 is not the manifest's")
        opset = read_opset(graph)
    except (ManifestError, SignatureError) as error:
        raise PackageError(str(error)) from error
    except OSError as error:
        raise PackageError(f"{error.filename}: {error.strerror}") from error
    except DecodeError as error:
        raise PackageError(f"{graph}: is no ONNX file") from error
    if opset != manifest.opset:
        raise PackageError(f"{graph}: has opset {opset}, the manifest says {manifest.opset}")
    return manifest


def open_package(folder: Path, threads: int = 1, public_keys: Sequence[Path] = ()) -> ModelPackage:
    """Verify a package and make it ready to run on CPU, each run on ``threads`` threads.

    Raises PackageError as `verify_package` does, and if ONNX Runtime refuses the graph or its
    inputs or outputs differ from the manifest.
    """
    manifest = verify_package(folder, public_keys)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    try:
        session = ort.InferenceSession(folder / GRAPH_FILE, options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise PackageError(f"{folder / GRAPH_FILE}: ONNX Runtime refuses it: {error}") from error
    _check_interface(folder, manifest, session)
    return ModelPackage(manifest, session)


def _check_interface(folder: Path, manifest: ModelManifest, session: ort.InferenceSession) -> None:
    """Compare names, types and fixed dimensions of inputs and outputs."""
    for kind, stated, found in (
        ("inputs", manifest.inputs, session.get_inputs()),
        ("outputs", manifest.outputs, session.get_outputs()),
    ):
        expected = [(t.name, f"tensor({t.dtype})", list(t.shape)) for t in stated]
        actual = [(t.name, t.type, list(t.shape)) for t in found]
        if expected != actual:
            raise PackageError(f"{folder}: {kind} are {actual}, the manifest says {expected}")

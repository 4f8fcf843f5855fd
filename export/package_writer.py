"""The one place that puts a package where it is served from: whole, or not at all."""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from export.errors import ExportError
from export.evaluation.figures import measure_accuracy
from export.evaluation.photo_set import EvaluationSet
from export.progress import SILENT, ProgressReporter
from export.report import write_report
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    NAME_PATTERN,
    VERSION_PATTERN,
    ModelManifest,
    PackageManifest,
)
from service.package import ModelPackage, open_package

PREFIX = ".unfinished-"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


class OutputError(ExportError):
    """A path that no package can be written to; the message says why, and what to do."""


@contextmanager
def written_aside(output: Path) -> Iterator[Path]:
    """A folder to write the package ``output``, ``…/<name>/<version>``, into.

    It has those two names itself, so that the package can be opened in it, and is in the same
    store, hence in the same file system, where the service does not look. When the block ends it is
    flushed to the disk and renamed to ``output``. If anything is raised, an interruption included,
    it is deleted, as are the folders that were made for it.

    Raises OutputError before the block if ``output`` exists, names no package or cannot be written,
    and out of it if the disk is full.
    """
    check_output(output)
    store = output.parent.parent
    made = [folder for folder in (output.parent, store, *store.parents) if not folder.exists()]
    try:
        with _own_folder(store) as aside:
            folder = aside / output.parent.name / output.name
            folder.mkdir(parents=True)
            yield folder
            _flush(folder)
            output.parent.mkdir(exist_ok=True)
            folder.rename(output)
            made.clear()
            _flush_entry(output.parent)
    except OSError as error:
        raise _explained(error, output) from error
    finally:
        for parent in made:
            with suppress(OSError):  # it was never made, or holds other files by now
                parent.rmdir()


def write_package(folder: Path, graph: bytes, manifest: PackageManifest) -> None:
    """Write a proven graph and its manifest into ``folder``; `finish_package` does the rest."""
    (folder / GRAPH_FILE).write_bytes(graph)
    manifest.write(folder / MANIFEST_FILE)


def finish_package(
    folder: Path,
    reference: ModelPackage,
    photos: Sequence[Path],
    evaluation: EvaluationSet | None,
    compared: Sequence[Path] = (),
    progress: ProgressReporter = SILENT,
    *,
    choose_threshold: bool = False,
) -> ModelManifest:
    """Check that the service can open the package in ``folder``, measure its accuracy on
    ``evaluation`` and write its report. Returns the manifest as it then is.

    reference: what the graph was proven against. photos: those that the report shows examples of.
    compared: packages of the same model in other precisions, which the report shows beside it.
    choose_threshold: whether a detector's default score threshold becomes the one with the best F1
        on ``evaluation``.

    Raises PackageError or PhotoError.
    """
    package = open_package(folder, threads=0)
    manifest, judged = package.manifest, None
    if evaluation is not None:
        progress.step(f"measuring accuracy on {evaluation.path}")
        truth = evaluation.read(manifest.labels, on_note=progress.step)
        accuracy, judged = measure_accuracy(package, truth, progress.update)
        manifest = manifest.model_copy(update={"accuracy": accuracy})
        best = judged.best_threshold() if judged is not None and choose_threshold else None
        if best is not None:
            progress.step(f"score threshold {best:g}, with the best F1")
            defaults = manifest.defaults.model_copy(update={"score_threshold": best})
            manifest = manifest.model_copy(update={"defaults": defaults})
        manifest.write(folder / MANIFEST_FILE)
    progress.step("writing the report")
    write_report(folder, photos, reference, compared, judged)
    return manifest


def check_output(output: Path) -> None:
    """Raise OutputError if ``output`` names no package, or one that exists."""
    name, version = output.parent.name, output.name
    if not re.fullmatch(NAME_PATTERN, name) or not re.fullmatch(VERSION_PATTERN, version):
        raise OutputError(
            f"{output}: the last two parts name the package, such as pets/1:"
            " small letters, digits and _.- in the name, a whole number for the version"
        )
    if os.path.lexists(output):
        raise OutputError(f"{output} exists; a changed model needs a new version")


@contextmanager
def _own_folder(store: Path) -> Iterator[Path]:
    """A new folder in ``store``, locked as long as this process lives, and deleted at the end."""
    store.mkdir(parents=True, exist_ok=True)
    gate = _lock(store)
    _sweep(store)
    aside = Path(tempfile.mkdtemp(prefix=PREFIX, dir=store))
    held = _lock(aside)
    _unlock(gate)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        _unlock(held)


def _sweep(store: Path) -> None:
    """Delete what killed processes left in ``store``: their locks went with them."""
    for folder in store.glob(f"{PREFIX}*"):
        lock = _lock(folder, wait=False)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            _unlock(lock)


def _lock(folder: Path, wait: bool = True) -> int | None:
    """A descriptor that holds ``folder`` locked; None if another process does, or if the file
    system has no such locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _flush(folder: Path) -> None:
    """Write ``folder`` and all in it to the disk, or a power cut after the rename empties it."""
    for path in folder.rglob("*"):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, output: Path) -> Exception:
    """``error`` as an OutputError, if writing to ``output`` raised it."""
    if error.errno in FULL:
        return OutputError(
            f"{output}: there is no room for it ({error.strerror}), and nothing was written;"
            " free some, or choose another output"
        )
    if error.errno in TAKEN and error.filename2 == str(output):
        return OutputError(f"{output} exists by now; a changed model needs a new version")
    ours = [str(folder) for folder in (output.parent, *output.parent.parents)]
    if error.filename is not None and (error.filename in ours or PREFIX in str(error.filename)):
        return OutputError(
            f"{output}: cannot be written ({error.filename}: {error.strerror});"
            " choose another output, or make that folder writable"
        )
    return error

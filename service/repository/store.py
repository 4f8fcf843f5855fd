"""Where model packages come from: a folder, or BentoML's own model store."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.manifest import COMPANION_SUFFIX, GRAPH_FILE, MANIFEST_FILE, ModelManifest
from service.package import PackageError, find_packages, verify_package
from service.signature import LIST_FILE, SIGNATURE_FILE

BENTOML = "bentoml"  # the value of the setting model_store that means BentoML's store

Reference = tuple[str, str]  # a model's name and version


@dataclass(frozen=True)
class Candidate:
    """A package as it lies there. ``fingerprint`` changes whenever one of its files does, or of its
    companion's.

    companion: the folder of the package that tells which photos are novel to it, if there is one.
    """

    folder: Path
    fingerprint: tuple[tuple[int, int, int], ...]
    companion: Path | None = None

    @property
    def file_bytes(self) -> int:
        return sum(size for _, size, _ in self.fingerprint)


def companion_of(folder: Path) -> Path:
    """Where the companion of the package ``folder``, ``…/<name>/<version>``, lies: a package of the
    same version, whose name says whose it is."""
    folder = folder.absolute()
    return folder.parent.with_name(folder.parent.name + COMPANION_SUFFIX) / folder.name


def scan_store(model_store: Path) -> dict[Reference, Candidate]:
    """The packages that are there now, none of them opened.

    model_store: the setting: a folder of <name>/<version>/, or "bentoml" for BentoML's own store,
        which has the same layout; models in it without a manifest are not ours.

    Raises PackageError if there is no store, or nothing in it.
    """
    if str(model_store) == BENTOML:
        home = os.environ.get("BENTOML_HOME")
        model_store = (Path(home) if home else Path.home() / "bentoml") / "models"
    folders = {(folder.parent.name, folder.name): folder for folder in find_packages(model_store)}
    found = {}
    for (name, number), folder in folders.items():
        watched, suffix, end = name.rpartition(COMPANION_SUFFIX)
        if suffix and not end and (watched, number) in folders:
            continue  # the companion of a model that is here
        companion = folders.get((name + COMPANION_SUFFIX, number))
        marks = fingerprint(folder) + (fingerprint(companion) if companion is not None else ())
        found[name, number] = Candidate(folder, marks, companion)
    return found


def fingerprint(folder: Path) -> tuple[tuple[int, int, int], ...]:
    """Of the files that are read: inode, size and time of change."""
    found = []
    for name in (MANIFEST_FILE, GRAPH_FILE, LIST_FILE, SIGNATURE_FILE):
        try:
            status = (folder / name).stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:  # not there, or not yet
            found.append((0, 0, 0))
    return tuple(found)


def verify_packages(
    found: Mapping[Reference, Candidate], public_keys: Sequence[Path]
) -> tuple[dict[Reference, ModelManifest], dict[Reference, str]]:
    """The manifests of the packages that are fit, and what is wrong with the others.

    Raises PackageError if a model has no fit version.
    """
    fit, unfit = {}, {}
    for reference, candidate in found.items():
        try:
            fit[reference] = verify_package(candidate.folder, public_keys)
        except PackageError as error:
            unfit[reference] = str(error)
    check_each_model({name for name, _ in fit}, unfit)
    return fit, unfit


def check_each_model(fit: Collection[str], unfit: Mapping[Reference, str]) -> None:
    """Raise PackageError, with the reason, if a model of ``unfit`` is not among the names ``fit``:
    it has no version that could be served."""
    for (name, _), reason in unfit.items():
        if name not in fit:
            raise PackageError(reason)

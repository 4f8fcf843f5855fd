"""The models and the parameters that a job applies to every photo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.bulk.errors import BulkError
from service.engine.planning import RegionLimits, second_model
from service.inference.model import PARAMETERS
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    DetectionManifest,
    ModelManifest,
    read_manifest,
)
from service.package import verify_package
from service.parameters import RequestParameters, read_parameters
from service.repository.naming import default_name
from service.repository.store import Reference, companion_of, scan_store
from service.settings import Settings

# The settings on which an answer depends, or whether there is one.
ANSWER_SETTINGS = {
    "image_formats",
    "max_image_pixels",
    "max_frames",
    "max_body_bytes",
    "reduce_jpegs",
    "exact_resize",
}


@dataclass(frozen=True)
class Package:
    """A package of the store that has been verified, in its ``folder``."""

    folder: Path
    manifest: ModelManifest

    def __str__(self) -> str:
        return f"{self.manifest.name}/{self.manifest.version}"

    def read_files(self) -> dict[str, bytes]:
        """By name; raises OSError."""
        return _files_of(self.folder)


@dataclass(frozen=True)
class BulkRequest:
    """given: the parameters that were given. then: the classifier of what is detected, if one is
    asked for."""

    package: Package
    given: RequestParameters
    then: Package | None = None

    @property
    def manifest(self) -> ModelManifest:
        return self.package.manifest

    @property
    def packages(self) -> list[Package]:
        return [self.package] if self.then is None else [self.package, self.then]

    @property
    def reference(self) -> str:
        """name/version of the model, and of the classifier after it."""
        return ", then ".join(map(str, self.packages))

    @property
    def has_outlines(self) -> bool:
        """Whether detections come with their outlines."""
        finds = self.manifest.task == "detection" and self.manifest.has_contours
        return finds and getattr(self.given, "contours", None) is not False

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters but the models, with the model's defaults for those not given."""
        given = self.given.model_dump(mode="json", exclude_none=True, exclude={"model", "then"})
        second = {} if self.then is None else self.then.manifest.defaults.model_dump(mode="json")
        return {**self.manifest.defaults.model_dump(mode="json"), **second, **given}

    def read_files(self) -> dict[str, dict[str, bytes]]:
        """Those of each package, by name/version; of the companion too, if novelty is asked for.
        Raises OSError."""
        files = {str(package): package.read_files() for package in self.packages}
        if self.given.wants_novelty:
            folder = companion_of(self.package.folder)
            files[f"{folder.parent.name}/{folder.name}"] = _files_of(folder)
        return files

    @property
    def model_bytes(self) -> int:
        """The size of the graphs' files; raises OSError."""
        return sum((one.folder / GRAPH_FILE).stat().st_size for one in self.packages)


def read_request(
    settings: Settings, reference: str | None, options: Mapping[str, Any]
) -> BulkRequest:
    """The request to the model ``reference``, a name or name/version; by default the
    detector that `default_name` chooses.

    options: among them the parameters of all tasks, by name, None where not given. Raises
    BulkError, PackageError or Problem if there is no such model, its package is unfit, or a
    parameter does not suit it.
    """
    package = _verified(settings, reference)
    manifest = package.manifest
    names = {name for kind in PARAMETERS.values() for name in kind.model_fields}
    typed = {name: value for name, value in options.items() if name in names and value is not None}
    if manifest.task == "detection" and "top_k" in typed and "then" not in typed:
        raise BulkError(
            f"--top-k is for classifiers; {manifest.name} is a detector: --then names a classifier"
        )
    given = read_parameters(PARAMETERS[manifest.task], {}, {**typed, "model": str(package)})
    RegionLimits(settings.max_regions, settings.max_request_regions).check(1, given)
    then = None
    if (name := second_model(given)) is not None:
        then = _verified(settings, name)
        if then.manifest.task != "classification":
            raise BulkError(f"--then {name}: is a detector; --then names a classifier")
        given = given.model_copy(update={"then": str(then)})
    request = BulkRequest(package, given, then)
    _check(request)
    return request


def _files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (MANIFEST_FILE, GRAPH_FILE)}


def answer_settings(settings: Settings) -> dict[str, Any]:
    """The values of `ANSWER_SETTINGS`, as JSON has them."""
    return settings.model_dump(mode="json", include=ANSWER_SETTINGS)


def _verified(settings: Settings, reference: str | None) -> Package:
    """See `read_request`."""
    folder = find_package(settings, reference)
    return Package(folder, verify_package(folder, settings.public_keys))


def find_package(settings: Settings, reference: str | None) -> Path:
    """The folder of a package of the model store; see `read_request`. Raises BulkError."""
    found = {
        pair: candidate.folder
        for pair, candidate in scan_store(settings.model_store).items()
        if pair[1].isdecimal()
    }
    newest_first = sorted(found, key=lambda pair: (pair[0], -int(pair[1])))
    if reference is None:
        reference = _default_name(found, newest_first, settings)
    name, _, version = reference.partition("/")
    for pair in newest_first:
        if pair[0] == name and version in ("", pair[1]):
            return found[pair]
    known = ", ".join("/".join(pair) for pair in newest_first)
    raise BulkError(f"{reference}: is no model of {settings.model_store}; there are {known}")


def _default_name(
    found: Mapping[Reference, Path], newest_first: Sequence[Reference], settings: Settings
) -> str:
    """The name of the model that answers where none is named: a detector, if there is one."""
    newest = {name: (name, version) for name, version in reversed(newest_first)}
    manifests = [
        (name, read_manifest(found[newest[name]] / MANIFEST_FILE)) for name in sorted(newest)
    ]
    detectors = [model for model in manifests if model[1].task == "detection"]
    return default_name(detectors or manifests, settings.default_models)


def _check(request: BulkRequest) -> None:
    """Check, before an actor is started, what depends on the models; raises BulkError."""
    manifest, given = request.manifest, request.given
    names = [label.name for label in manifest.labels]
    for label in getattr(given, "labels", None) or ():
        if label not in names:
            raise BulkError(
                f"--label {label}: {manifest.name} has no such label; there are"
                f" {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
            )
    if given.wants_novelty and not companion_of(request.package.folder).is_dir():
        raise BulkError(
            f"--novelty: {manifest.name} has no companion; `python -m export novelty` makes one"
        )
    classifier = manifest if request.then is None else request.then.manifest
    if (getattr(given, "top_k", None) or 0) > len(classifier.labels):
        raise BulkError(f"--top-k: {classifier.name} has only {len(classifier.labels)} classes")
    told = getattr(given, "regions", None) is not None
    if told and isinstance(manifest, DetectionManifest) and not manifest.reads_regions:
        raise BulkError(f"--region: {manifest.name} looks everywhere; --region is for classifiers")

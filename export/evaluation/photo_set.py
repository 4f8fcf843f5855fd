"""Photos to measure on, and what they are known to show."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from export.evaluation.class_map import with_labels
from export.progress import OnStep, ignore_step
from models.datasets.content import (
    Annotations,
    Content,
    DataError,
    Fault,
    Kind,
    Photo,
    Reading,
)
from models.datasets.layouts import (
    DataSet,
    Split,
    recognise,
    recognise_classes,
    recognise_detection,
)
from service.imaging.files import PhotoError, read_photo, read_size
from service.imaging.formats import SUFFIXES, select_photos
from service.imaging.input_spec import InputSpec
from service.imaging.resize import ModelInput
from service.manifest import Label, ModelManifest

Item = TypeVar("Item")

# Faults that leave all that is to be found as it is.
HARMLESS: frozenset[Kind] = frozenset({"bad category", "duplicate category", "empty class"})


class PhotoSetError(PhotoError):
    """Photos or annotations that nothing can be measured on; the message says why."""


@dataclass(frozen=True)
class PhotoSet:
    """Photos, with what they show where that is known.

    name: the file or folder that says it, with the start of its sha256.
    total: how many photos it has, of which ``photos`` may be a part.
    objects: the content of a COCO instances file whose images are ``photos``, in their order.
    classes: of each photo the id of the label that it shows.
    """

    name: str
    total: int
    photos: tuple[Path, ...]
    objects: dict[str, Any] | None = None
    classes: tuple[int, ...] | None = None

    @property
    def has_outlines(self) -> bool:
        """Whether it is known of any object what its outline is."""
        rows = () if self.objects is None else self.objects["annotations"]
        return any("segmentation" in row for row in rows)


@dataclass(frozen=True)
class EvaluationSet:
    """Where annotated photos are: for a detector a data set in one of the layouts of
    `models.datasets.layouts`, for a classifier a folder with a folder of photos for each class.

    images: the folder of classes, or of the photos of a COCO file, None if they lie beside it.
    annotations: of a detector, the data set; of several splits, the photos to measure on count.
    class_map: names of its categories, and the labels that they stand for.
    """

    images: Path | None = None
    annotations: Path | None = None
    class_map: Mapping[str, str] | None = None

    @property
    def path(self) -> Path:
        """What says what the photos show; raises PhotoSetError if nothing was named."""
        path = self.annotations or self.images
        if path is None:
            raise PhotoSetError(
                "no photos are named to measure on: --annotations, --images or both"
            )
        return path

    def read(
        self, labels: Sequence[Label], limit: int | None = None, on_note: OnStep = ignore_step
    ) -> PhotoSet:
        """At most ``limit`` photos, spread over all, with what they show by a model's ``labels``.

        on_note: is told what was recognised, and how many files are passed over. Raises
        PhotoSetError.
        """
        if self.annotations is None:
            return read_class_folders(self.path, labels, limit, on_note)
        return read_annotated(self.annotations, self.images, labels, limit, on_note, self.class_map)


def find_photos(path: Path, on_note: OnStep = ignore_step) -> list[Path]:
    """The photos in the folder ``path``, by name; of one that holds none itself, but is a data set,
    those to measure on. Raises PhotoError if there is none.

    on_note: is told how many other files are passed over, and of what kind.
    """
    files = sorted(file for file in path.glob("[!.]*") if not file.is_dir())
    paths, note = select_photos(files, str)
    if not paths:
        return _photos_of_data(path, on_note)
    if note is not None:
        on_note(f"{path}: {note}")
    return paths


def read_photos(folder: Path, spec: InputSpec) -> list[ModelInput]:
    """Every photo that `find_photos` finds, as `read_photo` reads it."""
    return [read_photo(path, spec) for path in find_photos(folder)]


def read_photo_set(
    manifest: ModelManifest,
    source: EvaluationSet,
    limit: int | None = None,
    on_note: OnStep = ignore_step,
) -> PhotoSet:
    """`EvaluationSet.read` for the model of ``manifest``; without annotations, and without folders
    for a classifier, all photos of the folder, of which nothing is known. Raises PhotoError."""
    if source.annotations is not None and manifest.task != "detection":
        raise PhotoSetError(
            f"{source.annotations}: boxes do not measure {manifest.name}, a classifier; leave the"
            " annotations out and give a folder with a folder of photos for each class"
        )
    images = source.path
    if source.annotations is None and not images.is_dir():
        raise PhotoSetError(f"{images}: there is no such folder")
    if source.annotations is not None or (
        manifest.task == "classification" and any(p.is_dir() for p in images.glob("[!.]*"))
    ):
        return source.read(manifest.labels, limit, on_note)
    photos = find_photos(images, on_note)
    return PhotoSet(_described(images, photos), len(photos), spread(photos, limit))


def read_annotated(
    path: Path,
    images: Path | None,
    labels: Sequence[Label],
    limit: int | None = None,
    on_note: OnStep = ignore_step,
    class_map: Mapping[str, str] | None = None,
) -> PhotoSet:
    """The photos of a data set, see `EvaluationSet`, with their boxes as they stand there.

    Raises PhotoSetError if it cannot be read, if it has objects of a category that is not, by id
    and name (or, where it has no ids, by name), one of ``labels``, or if a photo is missing.
    """
    known = labels if class_map is None else None
    split, reading = _read(lambda: recognise_detection(path, images), known, on_note)
    annotations = reading.annotations
    if class_map is not None:
        annotations = with_labels(annotations, labels, class_map, path)
    photos = spread(annotations.photos, limit)
    if not any(photo.learned for photo in photos):
        raise PhotoSetError(f"{path}: has no object in its {len(photos)} photos to be found")
    for photo in photos:
        if not photo.path.is_file():
            raise PhotoSetError(f"{photo.path}: there is no such photo; {path.name} lists it")
        _check_size(photo, path)
    objects = replace(annotations, photos=photos).to_coco()
    raw = split.source.read_bytes() if split.source.suffix == ".json" else _plain(annotations)
    name = path.name if split.source == path else f"{path.resolve().name}, {split.source.name}"
    return PhotoSet(
        f"{name}, sha256 {hashlib.sha256(raw).hexdigest()[:12]}",
        len(annotations.photos),
        tuple(photo.path for photo in photos),
        objects,
    )


def _check_size(photo: Photo, path: Path) -> None:
    """Boxes are of the pixels of the photo as it is shown. Raises PhotoSetError."""
    width, height = read_size(photo.path)
    if (width, height) != (photo.width, photo.height):
        raise PhotoSetError(
            f"{photo.path}: has {width} x {height} pixels, upright; {path.name} says"
            f" {photo.width} x {photo.height}, so its boxes are of another picture"
        )


def read_class_folders(
    folder: Path, labels: Sequence[Label], limit: int | None = None, on_note: OnStep = ignore_step
) -> PhotoSet:
    """Photos at any depth in folders that are each named after one of ``labels``, or its id if
    several have that name. Not every label needs a folder. Raises PhotoSetError."""
    if not folder.is_dir():
        raise PhotoSetError(f"{folder}: there is no such folder")
    split, reading = _read(lambda: recognise_classes(folder), labels, on_note)
    if select_photos((path for path in split.source.glob("[!.]*") if path.is_file()), str)[0]:
        raise PhotoSetError(
            f"{split.source}: holds photos beside its folders; for top-1 put each into the folder"
            " of its class, for agreement move them into a folder of their own"
        )
    found = reading.annotations.photos
    if not found:
        raise PhotoSetError(f"{folder}: its folders hold no photo ({', '.join(sorted(SUFFIXES))})")
    photos = [photo.path for photo in found]
    classes = [labels[photo.label].id for photo in found]
    return PhotoSet(
        _described(folder, photos),
        len(photos),
        spread(photos, limit),
        classes=spread(classes, limit),
    )


def _read(
    recognise: Callable[[], DataSet[Content]], labels: Sequence[Label] | None, on_note: OnStep
) -> tuple[Split[Content], Reading[Content]]:
    """The split to measure on, read by the ids and names of ``labels``, or by its own; raises
    PhotoSetError."""
    categories = None if labels is None else tuple((label.id, label.name) for label in labels)
    try:
        data = recognise()
        split = data.measured()
        reading = split.read(categories=categories, outside="keep")
    except DataError as error:
        raise PhotoSetError(str(error)) from error
    _refuse([fault for fault in reading.faults if fault.kind not in HARMLESS])
    on_note(f"{split.source}, {data.layout}: {reading.annotations}")
    for note in reading.notes:
        on_note(note)
    return split, reading


def _photos_of_data(path: Path, on_note: OnStep) -> list[Path]:
    """The photos to measure on of a data set, whatever they show; raises PhotoError."""
    try:
        data = recognise(path)
        split = data.measured()
        content = split.read(outside="keep").annotations
    except DataError as error:
        kinds = ", ".join(sorted(SUFFIXES))
        raise PhotoError(
            f"{path}: holds no photo ({kinds}), nor is it a data set: {error}"
        ) from error
    on_note(f"{split.source}, {data.layout}: {content}")
    return sorted(photo.path for photo in content.photos)


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        others = f" (and {len(faults) - 1} more such faults)" if len(faults) > 1 else ""
        raise PhotoSetError(f"{faults[0]}{others}")


def _plain(annotations: Annotations) -> bytes:
    """What was read, for a digest of a data set of many files."""
    return json.dumps(annotations.to_coco()).encode()


def spread(items: Sequence[Item], limit: int | None) -> tuple[Item, ...]:
    """At most ``limit`` of ``items``, at equal distances: the first ones may be of few classes."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[i * len(items) // limit] for i in range(limit))


def _described(folder: Path, photos: Sequence[Path]) -> str:
    """The name of a folder, with the sha256 of its photos' names."""
    listing = "\n".join(photo.relative_to(folder).as_posix() for photo in photos)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    return f"{folder.resolve().name}, sha256 of its file names {digest[:12]}"

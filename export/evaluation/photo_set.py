"""Photos to measure on, and what they are known to show."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from export.progress import OnStep, ignore_step
from models.evaluation import box_of, is_crowd
from models.training.annotations.coco import read_coco
from models.training.annotations.content import DataError, Fault, Kind
from service.imaging.files import PhotoError, read_photo, visible_files
from service.imaging.formats import SUFFIXES, select_photos
from service.imaging.input_spec import InputSpec
from service.imaging.resize import ModelInput
from service.manifest import Label, ModelManifest

Item = TypeVar("Item")

# Faults that make a row meaningless. Boxes that reach beyond their photo, which public data sets
# have, are used as they are.
UNREADABLE: frozenset[Kind] = frozenset(
    {"bad row", "duplicate image", "unknown image", "unknown class", "bad box"}
)


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


@dataclass(frozen=True)
class EvaluationSet:
    """Where annotated photos are: a COCO instances file and the folder that holds its photos, or
    for a classifier a folder with a folder of photos for each class."""

    images: Path
    annotations: Path | None = None

    def read(
        self, labels: Sequence[Label], limit: int | None = None, on_note: OnStep = ignore_step
    ) -> PhotoSet:
        """At most ``limit`` photos, spread over all, with what they show by a model's ``labels``.

        on_note: is told how many files of a classifier's folders are passed over. Raises
        PhotoSetError.
        """
        if self.annotations is None:
            return read_class_folders(self.images, labels, limit, on_note)
        return read_annotated(self.annotations, self.images, labels, limit)


def find_photos(folder: Path, on_note: OnStep = ignore_step) -> list[Path]:
    """The photos in ``folder``, by name; raises PhotoError if there is none.

    on_note: is told how many other files are passed over, and of what kind.
    """
    files = sorted(path for path in folder.glob("[!.]*") if not path.is_dir())
    paths, note = select_photos(files, str)
    if note is not None:
        on_note(f"{folder}: {note}")
    if not paths:
        raise PhotoError(f"{folder}: holds no photo ({', '.join(sorted(SUFFIXES))})")
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
    images, annotations = source.images, source.annotations
    if annotations is not None and manifest.task != "detection":
        raise PhotoSetError(
            f"{annotations}: boxes do not measure {manifest.name}, a classifier; leave the"
            " annotations out and give a folder with a folder of photos for each class"
        )
    if annotations is None and not images.is_dir():
        raise PhotoSetError(f"{images}: there is no such folder")
    if annotations is not None or (manifest.task == "classification" and _folders(images)):
        return source.read(manifest.labels, limit, on_note)
    photos = find_photos(images, on_note)
    return PhotoSet(_described(images, photos), len(photos), spread(photos, limit))


def read_annotated(
    annotations: Path, images: Path, labels: Sequence[Label], limit: int | None = None
) -> PhotoSet:
    """The photos of a COCO instances file, which are in the folder ``images``.

    Raises PhotoSetError if the file cannot be read, if it has objects of a category that is not,
    by id and name, one of ``labels``, or if a photo is missing.
    """
    try:
        reading = read_coco(annotations, images)
    except DataError as error:
        raise PhotoSetError(str(error)) from error
    _refuse_unreadable([fault for fault in reading.faults if fault.kind in UNREADABLE])
    # The reader clips boxes and leaves crowds out, which COCO's protocol does not.
    raw = annotations.read_bytes()
    content = json.loads(raw.decode("utf-8-sig"))
    _check_categories(annotations, content, labels)
    chosen = spread(content["images"], limit)
    ids = {image["id"] for image in chosen}
    known = [_with_box(annotations, row) for row in content["annotations"]]
    rows = [row for row in known if row["image_id"] in ids]
    if all(is_crowd(row) for row in rows):
        raise PhotoSetError(f"{annotations}: has no object in its {len(chosen)} photos to be found")
    photos = tuple(images / image["file_name"] for image in chosen)
    for photo in photos:
        if not photo.is_file():
            raise PhotoSetError(f"{photo}: there is no such photo; {annotations.name} lists it")
    return PhotoSet(
        f"{annotations.name}, sha256 {hashlib.sha256(raw).hexdigest()[:12]}",
        len(content["images"]),
        photos,
        objects={**content, "images": list(chosen), "annotations": rows},
    )


def read_class_folders(
    folder: Path, labels: Sequence[Label], limit: int | None = None, on_note: OnStep = ignore_step
) -> PhotoSet:
    """Photos at any depth in folders that are each named after one of ``labels``, or its id if
    several have that name. Not every label needs a folder. Raises PhotoSetError."""
    if not folder.is_dir():
        raise PhotoSetError(f"{folder}: there is no such folder")
    if select_photos((path for path in folder.glob("[!.]*") if path.is_file()), str)[0]:
        raise PhotoSetError(
            f"{folder}: holds photos beside its folders; for top-1 put each into the folder of its"
            " class, for agreement move them into a folder of their own"
        )
    files: list[tuple[Path, int]] = []
    for own in _folders(folder):
        label = _label_of(own, labels)
        files += [(path, label.id) for path in visible_files(own)]
    found, note = select_photos(files, lambda file: file[0])
    if note is not None:
        on_note(f"{folder}: {note}")
    photos, classes = [path for path, _ in found], [label_id for _, label_id in found]
    if not photos:
        raise PhotoSetError(f"{folder}: its folders hold no photo ({', '.join(sorted(SUFFIXES))})")
    return PhotoSet(
        _described(folder, photos),
        len(photos),
        spread(photos, limit),
        classes=spread(classes, limit),
    )


def _refuse_unreadable(faults: Sequence[Fault]) -> None:
    if faults:
        others = f" (and {len(faults) - 1} more such faults)" if len(faults) > 1 else ""
        raise PhotoSetError(f"{faults[0]}{others}")


def _with_box(annotations: Path, row: dict[str, Any]) -> dict[str, Any]:
    """An annotation that is whole; a crowd, which the reader leaves unread, may have its outline
    alone. Raises PhotoSetError."""
    box = box_of(row)
    missing = [key for key in ("image_id", "category_id") if key not in row]
    if box is None or missing:
        name = ", ".join(missing) or "bbox, nor an outline"
        raise PhotoSetError(f"{annotations.name}: annotation {row.get('id')} has no {name}")
    return {**row, "bbox": box}


def _check_categories(annotations: Path, content: dict[str, Any], labels: Sequence[Label]) -> None:
    """Categories without an object may be unknown: some tools write one for all others."""
    known = {label.id: label.name for label in labels}
    used = {row.get("category_id") for row in content["annotations"]}
    for category in content["categories"]:
        number, name = category["id"], category["name"]
        if number in used and known.get(number) != name:
            own = f"calls {known[number]!r}" if number in known else "does not have"
            raise PhotoSetError(
                f"{annotations}: its category {number} is {name!r}, an id that the model {own};"
                " both must be those of the model's labels"
            )


def _label_of(folder: Path, labels: Sequence[Label]) -> Label:
    by_name = [label for label in labels if label.name == folder.name]
    found = by_name or [label for label in labels if str(label.id) == folder.name]
    if not found:
        raise PhotoSetError(
            f"{folder}: the model has no label {folder.name!r}; name each folder after a label,"
            f" such as {labels[0].name!r}, or its id"
        )
    if len(found) > 1:
        ids = ", ".join(str(label.id) for label in found)
        raise PhotoSetError(
            f"{folder}: {len(found)} of the model's labels have this name; use their ids: {ids}"
        )
    return found[0]


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


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

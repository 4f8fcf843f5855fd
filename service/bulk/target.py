"""Where the results go: a folder of Parquet files, or a COCO file with such a folder beside it."""

from dataclasses import dataclass, replace

from pyarrow import fs

from service.bulk.errors import BulkError
from service.bulk.folder import Folder, open_folder

COCO_SUFFIX = ".json"
BESIDE_COCO = ".parts"


@dataclass(frozen=True)
class Target:
    """parts: folder of the results. coco: folder and name of the COCO file, if one is wanted."""

    parts: Folder
    coco: tuple[Folder, str] | None = None


def open_target(output: str, source: str) -> Target:
    """The target at the path or URI ``output`` for photos from ``source``.

    Raises BulkError if it lies within ``source``: a continued job would take results for photos.
    """
    folder = open_folder(output)
    target = Target(folder)
    if folder.path.endswith(COCO_SUFFIX):
        parts = replace(folder, uri=_append(folder.uri), path=folder.path + BESIDE_COCO)
        target = Target(parts, folder.split())
    photos = open_folder(source)
    same_system = type(photos.system) is type(folder.system)
    if same_system and f"{folder.path}/".startswith(f"{photos.path.rstrip('/')}/"):
        raise BulkError(f"{folder.uri}: lies in {photos.uri}; --output names a folder beside it")
    return target


def check_new(target: Target, output: str) -> None:
    """Raise BulkError if a new job would replace an existing COCO file; raises OSError."""
    if target.coco is None or target.parts.kind() is not fs.FileType.NotFound:
        return
    folder, name = target.coco
    if folder.kind(name) is not fs.FileType.NotFound:
        raise BulkError(f"{output}: is there already; --output names a new file")


def _append(uri: str) -> str:
    path, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    return f"{path}{BESIDE_COCO}{mark}{query}"

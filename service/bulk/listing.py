"""Finds the photos of a job."""

from collections.abc import Callable

from pyarrow import fs

from service.bulk import tables
from service.bulk.errors import BulkError
from service.bulk.folder import Folder, Found, open_folder
from service.bulk.photos import FolderListing, Listing
from service.imaging.formats import select_photos
from service.terminal import one_line

Say = Callable[[str], None]


def list_photos(uri: str, column: str | None, say: Say = lambda note: None) -> Listing:
    """The photos in a folder, a Parquet file or a folder of these, here or in an object store.

    column: of the Parquet files; by default one of `tables.COLUMNS`. say: is called with a sentence
    on the files that are neither. Raises BulkError if there are no photos.
    """
    folder = open_folder(uri)
    try:
        kind = folder.kind()
        if kind is fs.FileType.File and folder.path.endswith(tables.SUFFIX):
            parent, name = folder.split()
            return tables.list_tables(parent, [Found(name, parent.size(name))], column)
        if kind is fs.FileType.File:
            raise BulkError(
                f"{folder.uri}: is a file; --input names a folder of photos, or Parquet files"
            )
        if kind is fs.FileType.NotFound:
            raise BulkError(f"{folder.uri}: there is no such folder or file")
        return _list_folder(folder, folder.find(), column, say)
    except (OSError, UnicodeDecodeError) as error:  # a name that is no UTF-8
        raise BulkError(f"{folder.uri}: {one_line(error)}") from error


def _list_folder(folder: Folder, found: list[Found], column: str | None, say: Say) -> Listing:
    parquet = [file for file in found if _is_table(file.name)]
    rest = [file for file in found if not file.name.endswith(tables.SUFFIX)]
    photos, note = select_photos(rest, lambda file: file.name)
    if photos and parquet:
        raise BulkError(
            f"{folder.uri}: holds photos and Parquet files; --input names a folder of one kind"
        )
    if parquet:
        return tables.list_tables(folder, parquet, column)
    if not photos:
        others = f" ({note})" if note else ""
        raise BulkError(f"{folder.uri}: holds no photo{others}; --input names a folder that does")
    if column is not None:
        raise BulkError(f"{folder.uri}: holds files of photos; --column is for Parquet")
    if note is not None:
        say(f"{folder.uri}: {note}")
    return FolderListing(folder, tuple(photos))


def _is_table(name: str) -> bool:
    """Files that begin with an underscore are no data, by the convention of Parquet folders."""
    return name.endswith(tables.SUFFIX) and not name.rpartition("/")[2].startswith("_")

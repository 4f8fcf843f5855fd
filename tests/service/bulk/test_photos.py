"""The order of photos, and how they are cut into shards."""

from pathlib import Path

import pytest
from pyarrow import fs

from service.bulk.errors import BulkError
from service.bulk.folder import Folder, Found
from service.bulk.listing import list_photos
from service.bulk.photos import FolderListing, shard_size
from service.problems import Problem
from tests.models.datasets.made import MADE


def listing(folder: Folder, *sizes: int) -> FolderListing:
    return FolderListing(folder, tuple(Found(f"{i:03}.jpg", n) for i, n in enumerate(sizes)))


@pytest.mark.parametrize(("photos", "size"), [(1, 16), (2000, 31), (10_000, 156), (10**7, 256)])
def test_shards_are_as_large_as_spreads_well(photos: int, size: int) -> None:
    assert shard_size(photos) == size


def test_every_photo_is_in_one_shard(here: Folder) -> None:
    made = listing(here, *range(50))
    shards = [made.shard(number, 16) for number in range(4)]
    assert [(shard.first, shard.size) for shard in shards] == [(0, 16), (16, 16), (32, 16), (48, 2)]
    assert [file for shard in shards for file in shard.files] == list(made.files)


def test_a_photo_more_less_or_of_another_size_makes_others_of_them(here: Folder) -> None:
    digests = {
        listing(here, 1, 2, 3).digest,
        listing(here, 1, 2).digest,
        listing(here, 1, 2, 4).digest,
        FolderListing(here, (Found("a", 1), Found("b", 2))).digest,
        FolderListing(here, (Found("a", 1), Found("c", 2))).digest,
    }
    assert len(digests) == 5
    moved = Folder("elsewhere", fs.LocalFileSystem(), "/elsewhere")
    assert listing(here, 1, 2).digest == listing(moved, 1, 2).digest


def test_a_file_over_the_bound_is_not_even_read(here: Folder) -> None:
    (photo,) = listing(here, 1001).shard(0, 16).photos(max_bytes=1000)
    with pytest.raises(Problem, match=r"has 1001 bytes; at most 1000") as caught:
        photo.read()
    assert caught.value.code == "body_too_large"


def test_a_folder_that_only_the_driver_has_is_a_fault_of_the_job(tmp_path: Path) -> None:
    gone = Folder("/photos", fs.LocalFileSystem(), str(tmp_path / "gone"))
    with pytest.raises(BulkError, match=r"/photos: is not there for every node"):
        listing(gone, 1).shard(0, 16).photos(max_bytes=1000)


def test_files_that_are_no_photos_are_counted(here: Folder) -> None:
    folder = Path(here.path)
    for name in ("a.jfif", "b.AVIF", "notes.txt", "phone.heic", "more.txt", ".hidden"):
        (folder / name).write_bytes(b"1")
    notes: list[str] = []
    assert len(list_photos(here.path, None, notes.append)) == 2
    assert notes == [f"{here.path}: passed over 3 files: 2 .txt, 1 .heic"]


@pytest.mark.parametrize("name", MADE)
def test_of_a_data_set_every_photo_is_found_whatever_its_layout(tmp_path: Path, name: str) -> None:
    MADE[name].make(tmp_path)
    photos = list_photos(str(tmp_path), None).shard(0, 16).photos(max_bytes=10_000)
    shown = set("abcd" if len(MADE[name].splits) == 2 else "abc")
    assert {Path(photo.name).stem for photo in photos} == shown

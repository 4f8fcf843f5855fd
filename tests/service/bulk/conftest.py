"""Photos and folders of the tests of bulk jobs."""

import shutil
from pathlib import Path

import pytest
from pyarrow import fs

from service.bulk.folder import Folder

PHOTOS = 96
SHARDS = PHOTOS // 16
BROKEN = {"017-cut.jpg": 3000, "029-empty.jpg": 0}  # of the first photo's bytes


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A folder of `PHOTOS` in folders, `BROKEN` among them."""
    folder = tmp_path_factory.mktemp("album")
    sources = sorted(photos.glob("*.jpg"))
    for number in range(PHOTOS - len(BROKEN)):
        year = folder / str(2020 + number % 3)
        year.mkdir(exist_ok=True)
        shutil.copy(sources[number % len(sources)], year / f"{number:03}.jpg")
    for name, size in BROKEN.items():
        (folder / "2021" / name).write_bytes(sources[0].read_bytes()[:size])
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.jpg").write_bytes(b"no photo that anybody wants")
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Folder:
    """An empty local folder."""
    return Folder(str(tmp_path), fs.LocalFileSystem(), str(tmp_path))

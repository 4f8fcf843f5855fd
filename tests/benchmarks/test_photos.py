"""The photos that are sent."""

from pathlib import Path

from PIL import Image

from benchmarks.photos import photo_of, small_photos


def sizes(folder: Path) -> list[tuple[int, int]]:
    found = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as photo:
            found.append(photo.size)
    return found


def test_small_photos_are_what_they_are_said_to_be(photos: Path, tmp_path: Path) -> None:
    folder = small_photos(photos, tmp_path / "small", number=9)
    assert sizes(folder) == [(500, 375)] * 9
    contents = [path.read_bytes() for path in folder.glob("*.jpg")]
    assert 45_000 < sum(map(len, contents)) / 9 < 75_000
    assert len(set(contents)) == 9
    again = small_photos(photos, tmp_path / "again", number=9)
    assert {path.read_bytes() for path in again.glob("*.jpg")} == set(contents)


def test_a_photo_of_that_size_is_sent_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    Image.new("RGB", (500, 375), (90, 120, 30)).save(source / "a.jpg", quality=51)
    folder = small_photos(source, tmp_path / "small", number=2)
    first, second = (path.read_bytes() for path in sorted(folder.glob("*.jpg")))
    assert first == (source / "a.jpg").read_bytes() != second


def test_large_photos_have_their_pixels_and_detail(photos: Path, tmp_path: Path) -> None:
    folder = photo_of(photos, 0.75, tmp_path)
    assert sizes(folder) == [(1000, 750)]
    (path,) = folder.glob("*.jpg")
    assert path.stat().st_size > 0.75e6 / 8  # a bit a pixel; a smooth one has less


def test_what_is_there_is_kept(photos: Path, tmp_path: Path) -> None:
    small_photos(photos, tmp_path, number=2)
    stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    small_photos(photos, tmp_path, number=2)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == stamps

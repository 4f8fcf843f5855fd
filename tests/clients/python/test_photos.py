"""Whatever a caller calls a photo is sent without loss."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from boxport_client import PhotoError
from boxport_client._photos import is_url, to_bytes, to_picture
from PIL import Image


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_files_and_bytes_go_as_they_are(photos: Path) -> None:
    path = photos / "cat.jpg"
    content = path.read_bytes()
    for photo in (path, str(path), content, bytearray(content), memoryview(content)):
        assert to_bytes(photo) == content


@pytest.mark.parametrize("shape", [(30, 40, 3), (30, 40)], ids=["colour", "grey"])
def test_arrays_lose_nothing(shape: tuple[int, ...]) -> None:
    array = noise(*shape)
    sent = np.asarray(Image.open(BytesIO(to_bytes(array))))
    np.testing.assert_array_equal(sent, array)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_pictures_lose_nothing(mode: str) -> None:
    picture = Image.fromarray(noise(8, 8, 3)).convert(mode)
    sent = Image.open(BytesIO(to_bytes(picture)))
    assert sent.convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB"])
def test_modes_that_png_lacks_are_sent_as_rgb(mode: str) -> None:
    sent = Image.open(BytesIO(to_bytes(Image.new("RGB", (4, 4), "red").convert(mode))))
    assert sent.mode == "RGB"


def test_a_picture_turned_by_exif_is_sent_upright() -> None:
    picture = Image.new("RGB", (40, 20))
    picture.getexif()[0x0112] = 6
    assert Image.open(BytesIO(to_bytes(picture))).size == (20, 40)
    stored = BytesIO()
    picture.save(stored, "JPEG", exif=picture.getexif())
    assert to_picture(stored.getvalue()).size == (20, 40)


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (b"", "0 bytes"),
        ("missing.jpg", "missing.jpg: No such file"),
        (Path("/"), "Is a directory"),
        (noise(4, 4, 4), r"uint8 \[4, 4, 4\]"),
        (noise(4, 4, 3).astype(np.float32), "float32"),
        (noise(0, 4, 3), r"\[0, 4, 3\]"),
        (3, "not int"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_photo_is_refused_in_one_line(photo: object, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as caught:
        to_bytes(photo)
    assert "\n" not in str(caught.value)


def test_file_objects_are_read_from_where_they_stand(photos: Path) -> None:
    content = (photos / "cat.jpg").read_bytes()
    with (photos / "cat.jpg").open("rb") as file:
        assert to_bytes(file) == content
        with pytest.raises(PhotoError, match=r"cat.jpg: nothing is left to read; seek\(0\)"):
            to_bytes(file)
    file = BytesIO(b"head" + content)
    file.seek(4)
    assert to_bytes(file) == content
    file.seek(4)
    assert to_picture(file).size == (451, 300)


def test_a_file_object_that_is_open_as_text_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    for path in (photos / "cat.jpg", tmp_path / "a.txt"):
        words = "is open as text; open it with mode 'rb'"
        with path.open(encoding="utf-8") as file, pytest.raises(PhotoError, match=words):
            to_bytes(file)
    with (photos / "cat.jpg").open("rb") as file:
        pass
    with pytest.raises(PhotoError, match="closed file"):
        to_bytes(file)


@pytest.mark.parametrize("url", ["http://a.example/cat.jpg", "HTTPS://a.example/cat.jpg"])
def test_a_url_has_no_pixels_here(url: str) -> None:
    assert is_url(url)
    for read in (to_bytes, to_picture):
        with pytest.raises(PhotoError, match="only the service fetches URLs"):
            read(url)
    assert not is_url("http.jpg")
    assert not is_url(b"http://a.example")


def test_what_pillow_refuses_is_a_photo_error(photos: Path, monkeypatch) -> None:
    content = (photos / "cat.jpg").read_bytes()
    with pytest.raises(PhotoError, match="cannot be decoded"):
        to_picture(content[:3000])
    lazy = Image.open(BytesIO(content[:3000]))
    with pytest.raises(PhotoError, match="cannot be decoded"):
        to_bytes(lazy)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PhotoError, match=r"PIL\.Image\.MAX_IMAGE_PIXELS"):
        to_picture(content)


def test_an_empty_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(PhotoError, match=r"empty.jpg: the file is empty"):
        to_bytes(path)

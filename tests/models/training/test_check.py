"""Photos that would stop a training run, or teach it what is not so, are found before it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from models.datasets.class_folders import read_class_folders
from models.datasets.coco import read_coco
from models.datasets.content import Annotations, ClassFolders, Fault, LabelledPhoto
from models.datasets.voc import read_voc
from models.training.check import check_photos

ORIENTATION = 0x0112  # EXIF's tag
CAT = (451, 300)  # width and height of docs/photos/cat.jpg


def ignore(done: int, total: int) -> None:
    pass


def read_folder(folder: Path, sizes: dict[str, tuple[int, int]]) -> Annotations:
    """A COCO file that says that each photo in ``folder`` has this size, and one box."""
    images, rows = [], []
    for number, (name, (width, height)) in enumerate(sizes.items(), start=1):
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        rows.append({"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 3, 4]})
    categories = [{"id": 1, "name": "cat"}]
    content = {"images": images, "annotations": rows, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))
    reading = read_coco(folder / "train.json", folder)
    assert reading.faults == ()
    return reading.annotations


def test_good_photos_are_kept_in_their_order(tmp_path: Path, cat: bytes) -> None:
    names = [f"{i}.jpg" for i in range(20)]
    for name in names:
        (tmp_path / name).write_bytes(cat)
    annotations = read_folder(tmp_path, dict.fromkeys(names, CAT))
    calls: list[tuple[int, int]] = []
    checked, faults = check_photos(annotations, lambda *call: calls.append(call))
    assert faults == []
    assert checked == annotations
    assert calls == [(done, 20) for done in range(1, 21)]


def test_each_photo_that_is_of_no_use_is_listed_and_left_out(tmp_path: Path, cat: bytes) -> None:
    (tmp_path / "good.jpg").write_bytes(cat)
    (tmp_path / "cut.jpg").write_bytes(cat[: len(cat) // 2])
    (tmp_path / "header.jpg").write_bytes(cat[:400])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>404 Not Found</html>")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "larger.jpg").write_bytes(cat)
    sizes = {path.name: CAT for path in sorted(tmp_path.iterdir())}
    annotations = read_folder(tmp_path, {**sizes, "gone.jpg": CAT, "larger.jpg": (902, 600)})
    checked, faults = check_photos(annotations, ignore)
    assert [photo.path.name for photo in checked.photos] == ["good.jpg"]
    assert checked.categories == annotations.categories
    assert {(Path(fault.where).name, fault.kind) for fault in faults} == {
        ("cut.jpg", "unreadable photo"),
        ("header.jpg", "unreadable photo"),
        ("empty.jpg", "unreadable photo"),
        ("page.jpg", "unreadable photo"),
        ("folder.jpg", "missing photo"),
        ("link.jpg", "missing photo"),
        ("gone.jpg", "missing photo"),
        ("larger.jpg", "wrong size"),
    }
    messages = {Path(fault.where).name: fault.message for fault in faults}
    assert messages["larger.jpg"] == "has 451 x 300 pixels, upright; the annotations say 902 x 600"
    assert messages["gone.jpg"] == "No such file or directory"
    assert messages["cut.jpg"].startswith("The image is damaged or cut short: ")
    assert not any("\n" in message for message in messages.values())


def test_photos_of_voc_are_checked_alike(tmp_path: Path, cat: bytes) -> None:
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / folder).mkdir(parents=True)
    size = "<size><width>451</width><height>300</height></size>"
    for name in ("a", "b"):
        (tmp_path / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}</annotation>")
    (tmp_path / "JPEGImages" / "a.jpg").write_bytes(cat)
    checked, faults = check_photos(
        read_voc(tmp_path / "Annotations", tmp_path / "JPEGImages").annotations, ignore
    )
    assert [photo.path.name for photo in checked.photos] == ["a.jpg"]
    assert [(fault.where, fault.kind) for fault in faults] == [
        (str(tmp_path / "JPEGImages" / "b.jpg"), "missing photo")
    ]


def test_a_photo_that_exif_turns_has_its_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # a quarter turn
    image = Image.new("RGB", (40, 30))
    image.save(tmp_path / "upright.jpg", exif=exif)
    image.save(tmp_path / "stored.jpg", exif=exif)
    annotations = read_folder(tmp_path, {"upright.jpg": (30, 40), "stored.jpg": (40, 30)})
    checked, faults = check_photos(annotations, ignore)
    assert [photo.path.name for photo in checked.photos] == ["upright.jpg"]
    (fault,) = faults
    assert fault.kind == "stored size"
    assert fault.message == (
        "has 30 x 40 pixels, upright; the annotations say 40 x 30: as it is stored, which its EXIF"
        " turns by a quarter"
    )


def test_no_photos_are_no_fault() -> None:
    nothing = Annotations((), ((1, "cat"),))
    assert check_photos(nothing, ignore) == (nothing, [])
    none = ClassFolders((), ((0, "cat"),))
    assert check_photos(none, ignore) == (none, [])


def test_class_photos_are_checked_and_a_class_without_any_left_is_listed(
    tmp_path: Path, cat: bytes
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    (tmp_path / "cat" / "1.jpg").write_bytes(cat)
    (tmp_path / "cat" / "2.jpg").write_bytes(cat[:5000])
    (tmp_path / "dog" / "1.jpg").write_bytes(b"GIF89a")
    reading = read_class_folders(tmp_path)
    assert reading.faults == ()
    calls: list[tuple[int, int]] = []
    checked, faults = check_photos(reading.annotations, lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert checked.photos == (LabelledPhoto(tmp_path / "cat" / "1.jpg", 0),)
    assert checked.categories == ((0, "cat"), (1, "dog"))
    assert [(fault.where, fault.kind) for fault in faults[:2]] == [
        (str(tmp_path / "cat" / "2.jpg"), "unreadable photo"),
        (str(tmp_path / "dog" / "1.jpg"), "unreadable photo"),
    ]
    assert faults[2:] == [Fault("class dog", "empty class", "none of its photos can be read")]


MANY = 4000  # photos


def test_an_interrupt_does_not_wait_for_photos_that_have_yet_to_begin(
    tmp_path: Path, cat: bytes
) -> None:
    (tmp_path / "1.jpg").write_bytes(cat)
    annotations = read_folder(tmp_path, {"1.jpg": CAT})
    decoded = []

    class Watched(type(tmp_path)):  # a real path, which tells when it is read
        def read_bytes(self) -> bytes:
            decoded.append(self)
            return super().read_bytes()

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    def many() -> Iterator[LabelledPhoto]:
        for _ in range(MANY):
            yield LabelledPhoto(Watched(annotations.photos[0].path), 0)

    with pytest.raises(KeyboardInterrupt):
        check_photos(ClassFolders(tuple(many()), ((0, "cat"),)), interrupt)
    assert len(decoded) < MANY / 2  # not a count of a few: threads read while they are given work

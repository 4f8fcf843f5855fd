"""The same photos in every layout: two cats and a dog to train on, a dog to measure on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

SIZE = (40, 30)
NAMES = ("cat", "dog")
# Of each split, the photos with (label, left, top, right, bottom) of their objects.
SPLITS: dict[str, dict[str, list[tuple[int, int, int, int, int]]]] = {
    "train": {"a": [(0, 4, 6, 24, 16)], "b": [(0, 0, 0, 40, 30), (1, 10, 10, 20, 20)], "c": []},
    "val": {"d": [(1, 8, 3, 32, 27)]},
}
ROWS = dict[str, list[tuple[int, int, int, int, int]]]


def photos(folder: Path, rows: ROWS, suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in rows:
        Image.new("RGB", SIZE).save(folder / f"{name}{suffix}")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def coco(rows: ROWS, first: int = 1, prefix: str = "") -> dict[str, Any]:
    """A COCO file's content, with category ids from ``first`` and paths below ``prefix``."""
    ids = dict(zip(rows, range(10, 20), strict=False))
    objects = [(ids[name], thing) for name, things in rows.items() for thing in things]
    return {
        "images": [
            {"id": ids[n], "file_name": f"{prefix}{n}.jpg", "width": SIZE[0], "height": SIZE[1]}
            for n in rows
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": first + label,
                "bbox": [left, top, right - left, bottom - top],
            }
            for number, (image, (label, left, top, right, bottom)) in enumerate(objects, start=1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES, start=first)],
    }


def yolo(things: list[tuple[int, int, int, int, int]]) -> str:
    width, height = SIZE
    return "".join(
        f"{label} {(left + right) / 2 / width} {(top + bottom) / 2 / height}"
        f" {(right - left) / width} {(bottom - top) / height}\n"
        for label, left, top, right, bottom in things
    )


def voc(things: list[tuple[int, int, int, int, int]]) -> str:
    objects = "".join(
        f"<object><name>{NAMES[label]}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for label, left, top, right, bottom in things
    )
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
    return f"<annotation>{size}{objects}</annotation>"


def labelme(name: str, things: list[tuple[int, int, int, int, int]]) -> dict[str, Any]:
    shapes = [
        {"label": NAMES[label], "shape_type": "rectangle", "points": [[x2, y1], [x1, y2]]}
        for label, x1, y1, x2, y2 in things
    ]
    size = {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}
    return {"version": "5.0", "imagePath": f"{name}.jpg", "shapes": shapes, **size}


def _readme(folder: Path) -> None:
    for split, rows in SPLITS.items():
        photos(folder / split, rows)
        write(folder / f"instances_{split}.json", coco(rows))


def _ultralytics(folder: Path) -> None:
    for split, rows in SPLITS.items():
        photos(folder / "images" / split, rows)
        for name, things in rows.items():
            write(folder / "labels" / split / f"{name}.txt", yolo(things))
    write(
        folder / "data.yaml",
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}",
    )


def _ultralytics_names(folder: Path) -> None:
    _ultralytics(folder)
    (folder / "data.yaml").unlink()
    write(folder / "classes.txt", "cat\ndog\n")


def _roboflow_yolo(folder: Path) -> None:
    for split, rows in ROBOFLOW.items():
        photos(folder / split / "images", rows)
        for name, things in rows.items():
            write(folder / split / "labels" / f"{name}.txt", yolo(things))
    write(
        folder / "data.yaml",
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, dog]",
    )


def _roboflow_coco(folder: Path) -> None:
    for split, rows in ROBOFLOW.items():
        photos(folder / split, rows)
        content = coco(rows)
        content["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
        write(folder / split / "_annotations.coco.json", content)


def _roboflow_voc(folder: Path) -> None:
    for split, rows in ROBOFLOW.items():
        photos(folder / split, rows, ".png")
        for name, things in rows.items():
            write(folder / split / f"{name}.xml", voc(things))


def _coco2017(folder: Path) -> None:
    for split, rows in SPLITS.items():
        photos(folder / f"{split}2017", rows)
        write(folder / "annotations" / f"instances_{split}2017.json", coco(rows))
        write(folder / "annotations" / f"captions_{split}2017.json", {})


def _cvat(folder: Path) -> None:
    for split, rows in SPLITS.items():
        photos(folder / "images" / split, rows)
        write(folder / "annotations" / f"instances_{split}.json", coco(rows))


def _voc(folder: Path) -> None:
    for split, rows in SPLITS.items():
        photos(folder / "JPEGImages" / f"{split}_batch", rows, ".png")
        for name, things in rows.items():
            write(folder / "Annotations" / f"{split}_batch" / f"{name}.xml", voc(things))
        names = "".join(f"{split}_batch/{name}\n" for name in rows)
        write(folder / "ImageSets" / "Main" / f"{split}.txt", names)


def _label_studio(folder: Path) -> None:
    photos(folder / "images", SPLITS["train"])
    prefix = "..\\..\\label-studio\\data\\media\\upload\\1\\"
    write(folder / "result.json", coco(SPLITS["train"], 0, prefix))


def _labelimg(folder: Path) -> None:
    photos(folder, SPLITS["train"])
    for name, things in SPLITS["train"].items():
        write(folder / f"{name}.xml", voc(things))


def _labelimg_yolo(folder: Path) -> None:
    photos(folder, SPLITS["train"])
    write(folder / "classes.txt", "cat\ndog\n")
    for name, things in SPLITS["train"].items():
        write(folder / f"{name}.txt", yolo(things))


def _darknet(folder: Path) -> None:
    for split, rows in ROBOFLOW.items():
        photos(folder / split, rows)
        write(folder / split / "_darknet.labels", "cat\ndog\n")
        for name, things in rows.items():
            write(folder / split / f"{name}.txt", yolo(things))


def _labelme(folder: Path) -> None:
    photos(folder, SPLITS["train"])
    for name, things in SPLITS["train"].items():
        write(folder / f"{name}.json", labelme(name, things))


ROBOFLOW = {"train": SPLITS["train"], "valid": SPLITS["val"]}


@dataclass(frozen=True)
class Made:
    """A layout: what makes it, its name, the names of its splits, and the id of the first class."""

    make: Callable[[Path], None]
    name: str
    splits: tuple[str, ...] = ("train", "val")
    first: int = 1


MADE = {
    "README": Made(_readme, "COCO"),
    "Ultralytics": Made(_ultralytics, "YOLO", first=0),
    "Ultralytics, classes.txt": Made(_ultralytics_names, "YOLO without data.yaml", first=0),
    "Darknet": Made(_darknet, "YOLO without data.yaml", ("train", "valid"), first=0),
    "Roboflow YOLO": Made(_roboflow_yolo, "YOLO", first=0),
    "Roboflow COCO": Made(_roboflow_coco, "COCO as Roboflow has it", ("train", "valid")),
    "Roboflow VOC": Made(_roboflow_voc, "VOC beside photos, LabelImg", ("train", "valid")),
    "COCO 2017": Made(_coco2017, "COCO 2017, CVAT", ("train2017", "val2017")),
    "CVAT": Made(_cvat, "COCO 2017, CVAT"),
    "VOC, nested": Made(_voc, "PASCAL VOC"),
    "Label Studio": Made(_label_studio, "COCO, Label Studio", ("",), first=0),
    "LabelImg": Made(_labelimg, "VOC beside photos, LabelImg", ("",)),
    "LabelImg YOLO": Made(_labelimg_yolo, "YOLO without data.yaml", ("",), first=0),
    "LabelMe": Made(_labelme, "LabelMe", ("",)),
}

"""The four commands of docs/training.md: as they are printed, on forty photos; and on data sets in
other layouts, of a few photos."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from export.__main__ import app as export_app
from models.checkpoints import load_checkpoint
from models.training.__main__ import app as training_app
from tests.docs.pages import DOCS, block_with
from tests.e2e.server import running_server
from tests.paths import ROOT

# What is seen in each: a photo, and the object's box in it
OBJECTS = {"cat": ("cat.jpg", (20, 10, 425, 300)), "cup": ("coffee.jpg", (80, 20, 420, 330))}
BACKGROUNDS = ("gravel.jpg", "galaxies.jpg")


def make_photos(folder: Path, photos: Path) -> None:
    """Thirty-two photos to train on and eight to measure on, with COCO's annotations: a cat or a
    cup, of any size, before gravel or galaxies."""
    rng = np.random.default_rng(0)
    cut = {name: Image.open(photos / file).crop(box) for name, (file, box) in OBJECTS.items()}
    for split, count in (("train", 32), ("val", 8)):
        (folder / split).mkdir(parents=True)
        images, rows = [], []
        for number in range(1, count + 1):
            scene = Image.open(photos / BACKGROUNDS[number // 2 % 2]).convert("RGB")
            scene = scene.resize((400, 320))
            label = number % len(OBJECTS)
            thing = cut[list(OBJECTS)[label]]
            width = int(rng.integers(140, 260))
            thing = thing.resize((width, round(thing.height * width / thing.width)))
            left = int(rng.integers(0, 400 - thing.width))
            top = int(rng.integers(0, max(1, 320 - thing.height)))
            scene.paste(thing, (left, top))
            scene.save(folder / split / f"{number}.jpg")
            height = min(thing.height, 320 - top)
            images.append({"id": number, "file_name": f"{number}.jpg", "width": 400, "height": 320})
            rows.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
        categories = [{"id": i, "name": name} for i, name in enumerate(OBJECTS, start=1)]
        content = {"images": images, "annotations": rows, "categories": categories}
        (folder / f"instances_{split}.json").write_text(json.dumps(content))


@pytest.mark.full
def test_forty_photos_become_a_service(tmp_path: Path, photos: Path) -> None:
    make_photos(tmp_path / "my_photos", photos)
    block = block_with(DOCS / "training.md", "sh", "make tools")
    install, train, export, serve = block.strip().splitlines()
    assert install == "make tools"
    script = re.sub(r"\b(my_photos|my_models|runs)\b", rf"{tmp_path}/\1", f"{train}\n{export}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    package = tmp_path / "my_models" / "mine" / "1"
    accuracy = json.loads((package / "manifest.json").read_text())["accuracy"]
    assert accuracy["metrics"]["ap50"] > 0.9

    assert serve == "make serve BOXPORT_MODEL_STORE=my_models"
    store = tmp_path / "my_models"
    with running_server(tmp_path, model_store=store) as server:
        photo = (tmp_path / "my_photos" / "val" / "1.jpg").read_bytes()
        reply = httpx.post(
            f"{server.url}/v1/detect", content=photo, headers={"Content-Type": "image/jpeg"}
        )
    (result,) = reply.json()["results"]
    assert "cup" in {detection["label"] for detection in result["detections"]}


PRETRAINED = ROOT / "models" / "pretrained" / "efficientdet_lite0_voc.safetensors"
SHOWN, SIZE, BOX = "cat.jpg", (451, 300), (20, 10, 425, 300)
SPLITS = {"train": ("a.jpg", "b.jpg"), "valid": ("c.jpg",)}


def voc_names(store: Path) -> list[str]:
    manifest = json.loads((store / "efficientdet_lite0_voc" / "1" / "manifest.json").read_text())
    return [label["name"] for label in manifest["labels"]]


def make_yolo(folder: Path, photos: Path, names: list[str]) -> dict[int, str]:
    """As Ultralytics lays photos of a cat out; the ids of the classes."""
    width, height = SIZE
    left, top, right, bottom = BOX
    row = f"{(left + right) / 2 / width} {(top + bottom) / 2 / height}"
    row += f" {(right - left) / width} {(bottom - top) / height}"
    for split, files in SPLITS.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for file in files:
            (folder / "images" / split / file).write_bytes((photos / SHOWN).read_bytes())
            label = folder / "labels" / split / Path(file).with_suffix(".txt")
            label.write_text(f"{names.index('cat')} {row}\n")
    yaml = f"train: images/train\nval: images/valid\nnames: {json.dumps(names)}\n"
    (folder / "data.yaml").write_text(yaml)
    return dict(enumerate(names))


def make_roboflow(folder: Path, photos: Path, names: list[str]) -> dict[int, str]:
    """As Roboflow exports the same to COCO: nothing is of its first category."""
    ids = {0: names[0]} | dict(enumerate(names[1:], start=40))  # such as are not counted from 1
    cat = next(number for number, name in ids.items() if name == "cat")
    width, height = SIZE
    left, top, right, bottom = BOX
    for split, files in SPLITS.items():
        (folder / split).mkdir(parents=True)
        images = [
            {"id": i, "file_name": file, "width": width, "height": height}
            for i, file in enumerate(files)
        ]
        box = {"category_id": cat, "bbox": [left, top, right - left, bottom - top], "iscrowd": 0}
        content = {
            "images": images,
            "annotations": [{"id": i, "image_id": i, **box} for i in range(len(files))],
            "categories": [{"id": i, "name": n, "supercategory": "pets"} for i, n in ids.items()],
        }
        (folder / split / "_annotations.coco.json").write_text(json.dumps(content))
        for file in files:
            (folder / split / file).write_bytes((photos / SHOWN).read_bytes())
    return ids


def train_one_step(data: Path, output: Path, *options: str) -> str:
    """What is said of one epoch, which is one step that changes next to nothing."""
    arguments = ["efficientdet_lite0", "--data", str(data), "--weights", str(PRETRAINED)]
    plain = ("--epochs", "1", "--workers", "0", "--precision", "fp32", "--learning-rate", "1e-6")
    done = CliRunner().invoke(
        training_app, [*arguments, "--output", str(output), *plain, "--device", "cpu", *options]
    )
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.mark.parametrize("make", [make_yolo, make_roboflow])
def test_two_photos_are_trained_on_with_the_ids_of_their_layout(
    tmp_path: Path, photos: Path, store: Path, make: Callable[..., dict[int, str]]
) -> None:
    ids = make(tmp_path / "pets", photos, voc_names(store))
    said = train_one_step(tmp_path / "pets", tmp_path / "run", "--input-size", "64")
    assert "2 photos with 2 boxes of 20 classes" in said
    assert "an epoch is 2 photos in batches of 32, made whole by 30 further views" in said
    assert "AP as export measures it: of scores above 0.001" in said
    assert "unused category: 19, which no photo shows: aeroplane (0)" in said
    assert load_checkpoint(tmp_path / "run" / "best.pth").labels == tuple(ids.items())


@pytest.mark.full
@pytest.mark.parametrize("make", [make_yolo, make_roboflow])
def test_a_data_set_of_another_layout_becomes_a_service(
    tmp_path: Path, photos: Path, store: Path, make: Callable[..., dict[int, str]]
) -> None:
    """Its ids are those of the answers, and AP is what training said."""
    data = str(tmp_path / "pets")
    ids = make(tmp_path / "pets", photos, voc_names(store))
    said = train_one_step(tmp_path / "pets", tmp_path / "run", "--batch-size", "2")
    package = tmp_path / "store" / "pets" / "1"
    best = tmp_path / "run" / "best.pth"
    create = ["create", "efficientdet_lite0", "--weights", str(best), "--photos", data]
    done = CliRunner().invoke(
        export_app, [*create, "--annotations", data, "--output", str(package)]
    )
    assert done.exit_code == 0, done.output
    manifest = json.loads((package / "manifest.json").read_text())
    assert {label["id"]: label["name"] for label in manifest["labels"]} == ids
    trained = float(re.search(r"best ap ([0-9.]+)", said)[1])
    assert trained > 0.5
    assert manifest["accuracy"]["metrics"]["ap"] == pytest.approx(trained, abs=0.002)

    done = CliRunner().invoke(export_app, ["evaluate", str(package), "--annotations", data])
    assert done.exit_code == 0, done.output
    with running_server(tmp_path, model_store=tmp_path / "store") as server:
        photo = {"images": (photos / SHOWN).read_bytes()}
        (result,) = httpx.post(f"{server.url}/v1/detect", files=photo).json()["results"]
    assert ids[result["detections"][0]["label_id"]] == "cat"

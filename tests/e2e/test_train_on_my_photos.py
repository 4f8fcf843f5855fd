"""The four commands of docs/training.md, run as they are printed, on forty photos."""

import json
import os
import re
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

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
    script = "\n".join(
        re.sub(r"\b(my_photos|my_models|runs)/", rf"{tmp_path}/\1/", line).replace(
            "--data my_photos", f"--data {tmp_path}/my_photos"
        )
        for line in (train, export)
    )
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

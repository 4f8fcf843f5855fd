"""The command: from photos to a checkpoint that the export makes an ordinary classifier of."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from export.settings import NONE_STATED
from export.trained_model import load_model
from models.training.__main__ import app
from models.training.head.features import NETWORK
from models.training.head.fitting import FILE
from models.training.head.linear import KINDS, Kind, probabilities
from service.imaging.files import read_photo
from tests.html_page import Page

COLOURS = {"blue": (40, 60, 200), "green": (30, 160, 60), "red": (200, 40, 40)}
SIZE = (80, 60)
FP32 = ("--precision", "fp32")  # for answers that are to be the same elsewhere


def run(*arguments: str) -> tuple[int, str]:
    """The exit status, and what is said, in one line."""
    result = CliRunner().invoke(app, ["head", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def photo_of(colour: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:
    noise = rng.normal(scale=20, size=(*SIZE[::-1], 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of each colour to train on, two to measure on."""
    data, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for split, number in (("train", 6), ("val", 2)):
        for name, colour in COLOURS.items():
            (data / split / name).mkdir(parents=True)
            for i in range(number):
                photo_of(colour, rng).save(data / split / name / f"{i}.png")
    return data


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey photos with a box of one colour in each, in COCO's format."""
    data, rng = tmp_path_factory.mktemp("boxes"), np.random.default_rng(0)
    names = list(COLOURS)
    for split, number in (("train", 12), ("val", 3)):
        (data / split).mkdir()
        rows = []
        for i in range(number):
            image = photo_of((128, 128, 128), rng)
            image.paste(photo_of(COLOURS[names[i % 3]], rng).resize((30, 24)), (5 + 4 * i, 20))
            image.save(data / split / f"{i}.png")
            rows.append(
                {"id": i, "image_id": i, "category_id": 5 + i % 3, "bbox": [5 + 4 * i, 20, 30, 24]}
            )
        photos = [
            {"id": i, "file_name": f"{i}.png", "width": SIZE[0], "height": SIZE[1]}
            for i in range(number)
        ]
        categories = [{"id": 5 + i, "name": name} for i, name in enumerate(names)]
        content = {"images": photos, "annotations": rows, "categories": categories}
        (data / f"instances_{split}.json").write_text(json.dumps(content))
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_class_folders_become_a_classifier(
    folders: Path, tmp_path_factory: pytest.TempPathFactory, kind: Kind
) -> None:
    output = folders.parent / f"{folders.name}-run"  # the same: features are computed once
    known = (output / FILE).exists()
    status, said = run("--data", str(folders), "--kind", kind, "--output", str(output), *FP32)
    assert status == 0, said
    assert ("features are those of" in said) == known
    assert f"efficientnet_lite0 + {kind}: top-1 1.000" in said
    assert "HOG + linear SVM: top-1 0." in said
    assert "always the most frequent class: top-1 0.333" in said
    assert f"python -m export create efficientnet_lite0 --weights {output / 'best.pth'}" in said

    model = load_model("efficientnet_lite0", output / "best.pth", NONE_STATED)
    assert [label.name for label in model.labels] == list(COLOURS)
    assert model.activation == ("softmax" if kind == "softmax" else "sigmoid")
    files = sorted((folders / "val").glob("*/*.png"))
    images = np.stack([read_photo(file, model.variant.input).pixels for file in files])
    with torch.inference_mode():
        answers = model.graph(torch.from_numpy(images)).numpy()
    layer = model.network.get_submodule("classifier")
    features = np.load(output / FILE)[NETWORK][-len(files) :]
    logits = features @ layer.weight.numpy(force=True).T + layer.bias.numpy(force=True)
    np.testing.assert_allclose(answers, probabilities(kind, logits), atol=1e-4)

    page = Page((output / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "HOG + linear SVM" in (output / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_of_a_detection_data_set_are_classified(boxes: Path, kind: Kind) -> None:
    output = boxes.parent / f"{boxes.name}-run"  # the same, as above
    few = ("--background", "3", "--no-baseline", *FP32)
    status, said = run("--data", str(boxes), "--kind", kind, "--output", str(output), *few)
    assert status == 0, said
    assert f"efficientnet_lite0 + {kind}: top-1 1.000" in said
    assert "HOG" not in said
    assert "region_padding 0.082" in said
    model = load_model("efficientnet_lite0", output / "best.pth", NONE_STATED)
    assert [(label.id, label.name) for label in model.labels] == list(enumerate(COLOURS, 5))
    assert model.variant.input.resize == "stretch"
    assert ("resize", "stretch", "its training") in model.rows()
    report = (output / "report.html").read_text(encoding="utf-8")
    assert ("background taken for an object" in report) == (kind != "softmax")
    grey = torch.full((1, 224, 224, 3), 128, dtype=torch.uint8)
    with torch.inference_mode():
        assert kind == "softmax" or model.graph(grey).max() < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--features", "efficientnet"), "there is no efficientnet; did you mean efficientnet_"),
        (("--features", "efficientdet_lite0"), "is a detector that is trained as a whole"),
        (("--features", "resnet18"), "name its weights, --weights FILE; `python -m models.zoo"),
        (("--weights", "nowhere.pth"), "nowhere.pth: there is no such file"),
        (("--validation-share", "0.2"), "has photos to measure on; leave --validation-share out"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    folders: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    output = tmp_path / "run"
    status, said = run("--data", str(folders), "--output", str(output), *options)
    assert status == 1
    assert "error: " in said
    assert message in said
    assert not output.exists()


def test_data_must_be_named(tmp_path: Path) -> None:
    status, said = run("--output", str(tmp_path))
    assert (status, said) == (
        1,
        "error: name the photos with --data, or two COCO files with --train and --val",
    )

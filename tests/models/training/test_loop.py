"""A detector learns what it is shown, with its backbone frozen and its features kept."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.progress import Progress
from typer.testing import CliRunner

from models.evaluation import BoxRow, average_precision
from models.training.__main__ import app
from models.training.dataset import CocoAnnotations, DetectionDataset
from models.training.ema import WeightAverage
from models.training.features import FeatureCache, collate_features
from models.training.loop import Recipe, Trainer
from models.variants import VARIANTS
from models.weights import load_backbone, load_checkpoint, load_into

SHAPES = ((255, 40, 40), (40, 40, 255))  # "red" and "blue"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures, each with a red and a blue rectangle, as training and validation photos."""
    folder = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    images, annotations = [], []
    for image_id in range(8):
        picture = Image.new("RGB", (160, 160), (150, 160, 140))
        for category, colour in enumerate(SHAPES):
            x, y = torch.randint(0, 80, (2,), generator=generator).tolist()
            width, height = torch.randint(40, 75, (2,), generator=generator).tolist()
            picture.paste(colour, (x, y, x + width, y + height))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": (3, 9)[category],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
        for split in ("train", "val"):
            (folder / split).mkdir(exist_ok=True)
            picture.save(folder / split / f"{image_id}.jpg")
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 160, "height": 160})
    categories = [{"id": 9, "name": "blue"}, {"id": 3, "name": "red"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    for split in ("train", "val"):
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


def test_annotations_are_read_in_the_order_of_their_ids(data: Path) -> None:
    annotations = CocoAnnotations.read(data / "instances_train.json", data / "train")
    assert annotations.categories == ((3, "red"), (9, "blue"))
    first = annotations.photos[0]
    truth = json.loads((data / "instances_train.json").read_text())["annotations"][0]["bbox"]
    x, y, width, height = truth
    assert first.boxes[0].tolist() == [x, y, x + width, y + height]
    assert first.labels.tolist() == [0, 1]


def test_photo_becomes_input(data: Path) -> None:
    photos = CocoAnnotations.read(data / "instances_train.json", data / "train").photos
    image, boxes, labels = DetectionDataset(photos, 320, augment=None)[0]
    assert image.shape == (3, 320, 320)
    assert image.dtype == torch.uint8
    torch.testing.assert_close(boxes, photos[0].boxes * 2)
    left, top, right, bottom = (boxes[0] / 1).int().tolist()
    assert image[0, (top + bottom) // 2, (left + right) // 2] > 150
    assert labels.tolist() == [0, 1]


def test_cache_gives_what_was_put_in() -> None:
    torch.manual_seed(0)
    cache = FeatureCache(views=3, photos=2)
    for view in range(3):
        features = [torch.full((2, 1, 2, 2), float(view)), torch.full((2, 4), view + 10.0)]
        boxes = [torch.full((view, 4), float(photo)) for photo in range(2)]
        cache.add(features, boxes, [torch.full((view,), photo) for photo in range(2)])
    seen = set()
    for _ in range(50):
        (first, second), boxes, labels = cache[1]
        view = int(first[0, 0, 0])
        seen.add(view)
        assert second[0] == view + 10
        assert boxes.shape == (view, 4)
        assert (boxes == 1).all()
        assert labels.tolist() == [1] * view
    assert seen == {0, 1, 2}


def test_average_follows_the_weights() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = WeightAverage(layer, decay=0.5)
    torch.nn.init.ones_(layer.weight)
    for _ in range(40):
        average.update(layer)
    assert average.network.weight.item() == pytest.approx(1.0, abs=1e-6)
    assert not average.network.weight.requires_grad


def test_learning_rate_warms_up_and_falls() -> None:
    recipe = Recipe(epochs=1, warmup=0.1)
    assert recipe.rate_at(0) == 0
    assert recipe.rate_at(0.05) == pytest.approx(0.5)
    assert recipe.rate_at(0.1) == pytest.approx(1)
    assert recipe.rate_at(0.55) == pytest.approx(0.5)
    assert recipe.rate_at(1) == pytest.approx(0)


def test_detector_learns_eight_pictures(data: Path, imagenet_weights: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    variant = VARIANTS["efficientdet_lite0"]
    network = variant.build(2)
    load_backbone(network, load_checkpoint(imagenet_weights).state, "")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1  # the published .01 needs hundreds of steps
    frozen = {k: v.clone() for k, v in network.backbone.state_dict().items() if is_frozen(k)}
    annotations = CocoAnnotations.read(data / "instances_train.json", data / "train")
    recipe = Recipe(epochs=70, batch_size=8, ema_decay=0.9, frozen_stages=7, evaluate_every=70)
    truth = data / "instances_val.json"
    trainer = Trainer(
        network, "efficientdet_lite0", variant.input, recipe, annotations, truth, tmp_path
    )
    samples = [DetectionDataset(annotations.photos, 320, augment=None)[i] for i in range(8)]
    images, boxes, labels = zip(*samples, strict=True)
    network.eval()
    cache = FeatureCache(views=1, photos=8)
    cache.add(trainer.frozen_features(torch.stack(images)), list(boxes), list(labels))
    batch = collate_features([cache[i] for i in range(8)])
    with Progress(disable=True) as progress:
        trainer.fit([batch], progress)
        measured = trainer.evaluate(progress)
    assert measured.ap50 > 0.95
    for name, before in frozen.items():
        torch.testing.assert_close(network.backbone.state_dict()[name], before)
    best = load_checkpoint(tmp_path / "best.pth")
    assert best.labels == ((3, "red"), (9, "blue"))
    load_into(variant.build(2), best.state, "best.pth")
    assert "70," in (tmp_path / "log.csv").read_text().splitlines()[1]


def is_frozen(name: str) -> bool:
    return name.startswith(("stem", "stages"))


def test_command_trains_and_leaves_a_checkpoint(
    data: Path, imagenet_weights: Path, tmp_path: Path
) -> None:
    arguments = ["efficientdet_lite0", "--data", data, "--output", tmp_path / "run"]
    options = ["--backbone", imagenet_weights, "--epochs", 1, "--batch-size", 4, "--views", 1]
    workers = ["--workers", 0]
    result = CliRunner().invoke(app, [str(a) for a in (*arguments, *options, *workers)])
    assert result.exit_code == 0, result.output
    assert load_checkpoint(tmp_path / "run" / "last.pth").architecture == "efficientdet_lite0"


def test_perfect_detections_have_an_ap_of_one(data: Path) -> None:
    truth = data / "instances_val.json"
    rows = [
        BoxRow(row["image_id"], row["category_id"], tuple(row["bbox"]), 0.9)
        for row in json.loads(truth.read_text())["annotations"]
    ]
    perfect = average_precision(truth, rows)
    assert perfect.ap == perfect.ap50 == pytest.approx(1.0)
    assert perfect.images == 8
    assert average_precision(truth, rows[: len(rows) // 2]).ap50 == pytest.approx(0.5, abs=0.02)
    assert average_precision(truth, []).ap == 0

"""Detectors of every kind are trained, on photos of any shape, and measured as they are served."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.progress import Progress

from export.evaluation.column import QUERY
from export.exporter import EvaluationSet, ExportJob, export
from export.settings import Settings
from models.checkpoints import load_checkpoint
from models.datasets.content import Annotations
from models.training.augment import Augment
from models.training.dataset import collate
from models.training.detection_task import DetectionTask, batches_of_one_size
from models.training.devices import Process
from models.training.features import FeatureCache
from models.training.loop import Trainer
from models.training.recipe import Recipe
from models.variants import Variant, at_size, find_variant
from models.weights import load_into
from tests.models.datasets.objects import make_photo

CPU = Process(torch.device("cpu"))
SIZES = [(160, 120), (120, 160), (200, 90), (128, 128)]
CATEGORIES = ((3, "red"), (9, "blue"))
FEW_STEPS = Recipe(
    epochs=2,
    batch_size=2,
    optimizer="adamw",
    learning_rate=0.01,
    evaluate_every=2,
    precision="fp32",
)

Make = Callable[..., tuple[DetectionTask, torch.nn.Module, Variant]]


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """A red and a blue rectangle in photos of several shapes."""
    folder = tmp_path_factory.mktemp("shapes")
    photos = []
    for index, (width, height) in enumerate(SIZES):
        picture = Image.new("RGB", (width, height), (150, 160, 140))
        boxes = [(10, 20, 50, 70), (width - 60, 15, width - 5, height - 10)]
        for box, colour in zip(boxes, ((255, 40, 40), (40, 40, 255)), strict=True):
            picture.paste(colour, box)
        path = folder / f"{index}.png"
        picture.save(path)
        photos.append(make_photo(index, path, (width, height), boxes, [0, 1]))
    return Annotations(tuple(photos), CATEGORIES)


@pytest.fixture
def make(annotations: Annotations) -> Make:
    def build(
        architecture: str,
        recipe: Recipe = FEW_STEPS,
        augment: Augment | None = None,
        times: int = 1,
    ) -> tuple[DetectionTask, torch.nn.Module, Variant]:
        variant = at_size(find_variant(architecture), 128)
        torch.manual_seed(0)
        network = variant.build(2)
        views = augment or Augment()
        often = replace(annotations, photos=annotations.photos * times)
        task = DetectionTask(network, variant.input, recipe, CPU, often, annotations, views)
        return task, network, variant

    return build


@pytest.mark.full
@pytest.mark.parametrize(
    "architecture",
    [
        *("retinanet_resnet18_fpn", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"),
        *("retinanet_lite0", "efficientdet_lite0+groupnorm", "efficientdet_d0"),
        "tf_efficientdet_d0_ap",
    ],
)
def test_a_few_steps_change_every_weight_and_leave_a_checkpoint(
    make: Make, architecture: str, tmp_path: Path
) -> None:
    task, network, variant = make(architecture)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trainer = Trainer(network, architecture, task, FEW_STEPS, CPU, tmp_path)
    with Progress(disable=True) as progress:
        trainer.fit(progress)
    assert trainer.best >= 0
    still = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
    # in an EfficientDet, little of what is of one level alone moves if no object is on that level
    assert len(still) < 0.05 * len(before)
    assert not [name for name in still if name.startswith("backbone.") or ".predict." in name]
    best = load_checkpoint(tmp_path / "best.pth")
    assert (best.architecture, best.labels) == (architecture, CATEGORIES)
    load_into(variant.build(2), best.state, "best.pth")


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_frozen_features_of_a_resnet_give_the_losses_of_photos(make: Make, stages: int) -> None:
    recipe = replace(FEW_STEPS, frozen_stages=stages)
    task, network, _ = make("retinanet_resnet18_fpn", recipe)
    network.eval()
    batch = collate([task.photos[i] for i in range(4)])
    with torch.no_grad():
        expected = task.losses(network, batch, random.Random(0))
        cache = FeatureCache(views=1, photos=4)
        cache.fill(task.photos, task.collate, task.frozen_features, 0, lambda n: None)
        task.keep_features(cache)
        rows = [task.photos[i] for i in range(4)]
        actual = task.losses(network, task.collate(rows), random.Random(0))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-4)  # float16 is kept


def test_boxes_stay_on_their_objects_at_every_scale_of_a_batch(make: Make) -> None:
    task, _, _ = make("efficientdet_lite0", replace(FEW_STEPS, multi_scale=(0.5, 2.0)))
    image = torch.full((1, 3, 128, 128), 128, dtype=torch.uint8)
    image[:, 0, 32:96, 16:48] = 255
    sides = set()
    for seed in range(12):
        box = torch.tensor([[16.0, 32.0, 48.0, 96.0]])
        scaled, (moved,) = task.rescale(image, [box], random.Random(seed))
        sides.add(scaled.shape[-1])
        red = (scaled[0, 0] > scaled[0, 1] + 0.5).nonzero()
        seen = torch.cat((red.amin(0).flip(0), red.amax(0).flip(0) + 1)).float()
        torch.testing.assert_close(moved[0], seen, atol=1.0, rtol=0)
    assert sides == {64, 128, 192, 256}


@pytest.mark.parametrize("architecture", ["retinanet_resnet18_fpn", "efficientdet_lite0"])
def test_detections_are_in_the_pixels_of_their_photo(
    make: Make, annotations: Annotations, architecture: str
) -> None:
    """A network that finds exactly what is red is told where in the photo that was."""
    task, network, _ = make(architecture)

    def find_red(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        anchors = task._anchors_of(*images.shape[-2:])
        logits = torch.full((len(images), len(anchors), 2), -9.0)
        deltas = torch.zeros(len(images), len(anchors), 4)
        for i, image in enumerate(images):
            red = (image[0] > image[1] + 0.8).nonzero()
            box = torch.cat((red.amin(0).flip(0), red.amax(0).flip(0) + 1)).float()
            deltas[i, 0] = network.box_coder.encode(box[None], anchors[:1])[0]
            logits[i, 0, 0] = 9.0
        return logits, deltas

    rows = task.detect(find_red, lambda n: None)
    best = {row.image_id: row for row in rows if row.score > 0.9}
    for photo in annotations.photos:
        left, top, width, height = best[photo.image_id].bbox
        found = torch.tensor([left, top, left + width, top + height])
        torch.testing.assert_close(found, photo.boxes[0], atol=2.5, rtol=0)
        assert best[photo.image_id].category_id == 3


@pytest.mark.parametrize("size", [(2000, 12), (12, 2000), (1000, 7)])
def test_a_perfect_box_of_a_thin_photo_is_perfect(size: tuple[int, int], tmp_path: Path) -> None:
    """Scaled to whole pixels, its two sides are scaled by different factors."""
    Image.new("RGB", size).save(tmp_path / "thin.png")
    whole = torch.tensor([[0.0, 0, *size]])
    photo = make_photo(1, tmp_path / "thin.png", size, whole.tolist(), [0])
    annotations = Annotations((photo,), CATEGORIES)
    variant = at_size(find_variant("efficientdet_lite0"), 128)
    network = variant.build(2)
    still = Augment()
    task = DetectionTask(network, variant.input, FEW_STEPS, CPU, annotations, annotations, still)
    placed = torch.tensor([[0.0, 0, *(128 if side == max(size) else 1 for side in size)]])

    def find(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        anchors = task._anchors_of(*images.shape[-2:])
        logits = torch.full((1, len(anchors), 2), -9.0)
        deltas = torch.zeros(1, len(anchors), 4)
        logits[0, 0, 0] = 9.0
        deltas[0, 0] = network.box_coder.encode(placed, anchors[:1])[0]
        return logits, deltas

    assert task.evaluate(find, lambda n: None)["ap"] == pytest.approx(1)


@pytest.mark.full
def test_the_package_is_as_good_as_training_said(
    make: Make, annotations: Annotations, tmp_path: Path, photos: Path
) -> None:
    recipe = replace(FEW_STEPS, epochs=3, batch_size=4, learning_rate=0.03)
    still = Augment(scale=(0.9, 1.1), flip=0.0, colour=0.0, hue=0.0)
    task, network, _ = make("retinanet_resnet18_fpn", recipe, still, times=20)
    trainer = Trainer(network, "retinanet_resnet18_fpn", task, recipe, CPU, tmp_path)
    with Progress(disable=True) as progress:
        trainer.fit(progress)
    assert trainer.best > 0.2
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(annotations.to_coco()))
    job = ExportJob(
        "retinanet_resnet18_fpn",
        tmp_path / "best.pth",
        tmp_path / "shapes" / "1",
        photos,
        "none",
        evaluation=EvaluationSet(annotations.photos[0].path.parent, truth),
        settings=Settings(input_size=128),
    )
    manifest = export(job)
    assert (manifest.input.resize, manifest.input.shorter_side) == ("shorter_side", 128)
    assert manifest.accuracy is not None
    assert manifest.accuracy.metrics["ap"] == pytest.approx(trainer.best, abs=0.01)


def test_batches_are_of_one_size_and_have_every_photo_once() -> None:
    sizes = [(1, 1), (2, 2), (1, 1), (1, 1), (2, 2)]
    assert batches_of_one_size(sizes, 2) == [[0, 2], [3], [1, 4]]
    assert batches_of_one_size([(1, 1)] * 5, 3) == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(("logit", "counted"), [(-6.0, True), (-8.0, False)])
def test_detections_count_from_the_score_at_which_export_counts_them(
    make: Make, logit: float, counted: bool
) -> None:
    """The sigmoid of -6 is .0025, of -8 .0003."""
    task, _, _ = make("efficientdet_lite0")
    assert QUERY.score_threshold == pytest.approx(0.001)

    def find(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        anchors = task._anchors_of(*images.shape[-2:])
        logits = torch.full((len(images), len(anchors), 2), -20.0)
        logits[:, 0, 0] = logit
        return logits, torch.zeros(len(images), len(anchors), 4)

    assert bool(task.detect(find, lambda n: None)) == counted

"""Outlines stay on their objects in every view, and are learned with the detector or without."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from rich.progress import Progress

from models.checkpoints import load_checkpoint
from models.contours import signed_area
from models.datasets.content import Annotations, Object, Photo
from models.snake import VERTICES
from models.training.augment import Augment
from models.training.devices import Process
from models.training.features import FeatureCache
from models.training.loop import Trainer
from models.training.outline_task import OutlineTask
from models.training.outlines import OutlineDataset, polygon_of, to_goal
from models.training.recipe import Recipe
from models.variants import at_size, find_variant

CPU = Process(torch.device("cpu"))
RED, BLUE = (255, 0, 0), (0, 0, 255)
TRIANGLE = np.array([[20, 90], [20, 15], [110, 90]], dtype=np.float32)
HALF = np.array([[0, 0], [9, 0], [9, 9]], dtype=np.float32)
HALVES = (HALF, HALF + 9)


@pytest.fixture
def annotations(tmp_path: Path) -> Annotations:
    """A red triangle, and a blue box of no outline."""
    picture = Image.new("RGB", (160, 120), (150, 160, 140))
    draw = ImageDraw.Draw(picture)
    draw.polygon([tuple(point) for point in TRIANGLE.tolist()], fill=RED)
    draw.rectangle((120, 30, 150, 70), fill=BLUE)
    picture.save(tmp_path / "one.png")
    objects = (
        Object(0, (20.0, 15.0, 110.0, 90.0), (TRIANGLE,)),
        Object(1, (120.0, 30.0, 150.0, 70.0)),
    )
    photo = Photo(1, tmp_path / "one.png", 160, 120, objects)
    return Annotations((photo, replace(photo, image_id=2)), ((3, "red"), (9, "blue")))


@pytest.mark.parametrize("augment", [Augment(), Augment(rotation=30, aspect=0.3)])
def test_the_outline_of_a_view_goes_around_what_the_view_shows(
    annotations: Annotations, augment: Augment
) -> None:
    spec = at_size(find_variant("efficientdet_lite0"), 128).input
    views = OutlineDataset(
        annotations.photos, spec, replace(augment, colour=0, hue=0).for_input(spec)
    )
    seen = 0
    for index in range(20):
        view, boxes, targets, goals = views[index]
        assert boxes.shape == (len(targets), 4)
        for target, goal in zip(targets, goals, strict=True):
            if target[0] == 1:
                assert goal.isnan().all()
                continue
            seen += 1
            assert goal.shape == (VERTICES, 2)
            assert signed_area(goal) < 0
            drawn = Image.new("L", (128, 128))
            ImageDraw.Draw(drawn).polygon([tuple(point) for point in goal.tolist()], fill=255)
            red = (view[0].int() > view[2].int() + 80).numpy()
            outlined = np.asarray(drawn) > 0
            # edges are blurred, and half a pixel of the photo is more of a view that is larger
            assert (red & outlined).sum() > 0.8 * (red | outlined).sum()
    assert seen > 10


def test_an_object_in_parts_has_the_outline_of_one_that_is_most_of_it() -> None:
    box = (0.0, 0.0, 20.0, 20.0)
    assert polygon_of(Object(0, box)) is None
    assert polygon_of(Object(0, box, HALVES)) is None
    assert polygon_of(Object(0, box, (*HALVES, 10 * HALF))) is not None
    assert polygon_of(Object(0, box, (HALF,), ignored=True)) is None


def test_goals_all_run_the_same_way() -> None:
    triangle = torch.from_numpy(TRIANGLE)
    areas = [signed_area(to_goal(points, 128)) for points in (triangle, triangle.flip(0))]
    assert areas[0] < 0
    assert areas[1] < 0


def make_task(annotations: Annotations, recipe: Recipe) -> OutlineTask:
    variant = at_size(find_variant("efficientdet_lite0+snake"), 128)
    torch.manual_seed(0)
    network = variant.build(2)
    return OutlineTask(network, variant.input, recipe, CPU, annotations, annotations, Augment())


def test_only_the_snake_of_a_frozen_detector_learns(
    annotations: Annotations, tmp_path: Path
) -> None:
    recipe = Recipe(
        **{"epochs": 1, "batch_size": 2, "optimizer": "adamw", "precision": "fp32"},
        frozen_detector=True,
    )
    task = make_task(annotations, recipe)
    before = {k: v.clone() for k, v in task.network.state_dict().items()}
    trainer = Trainer(task.network, "efficientdet_lite0+snake", task, recipe, CPU, tmp_path)
    with Progress(disable=True) as progress:
        trainer.fit(progress)
    after = task.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("snake.") for name in changed)
    still = {n for n, p in task.network.snake.named_parameters() if f"snake.{n}" not in changed}
    assert not still
    assert task.losses_named == ("extremes_loss", "outline_loss")
    assert load_checkpoint(tmp_path / "last.pth").architecture == "efficientdet_lite0+snake"


def test_a_detector_learns_beside_its_snake(annotations: Annotations) -> None:
    task = make_task(annotations, Recipe())
    batch = task.collate([task.photos[i] for i in range(2)])
    losses = task.losses(task.network, batch, random.Random(0))
    assert len(losses) == len(task.losses_named) == 4
    sum(losses).backward()
    for part in (task.network.backbone, task.network.class_head, task.network.snake):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())


def test_kept_features_give_the_losses_of_photos(annotations: Annotations) -> None:
    task = make_task(annotations, Recipe(frozen_detector=True, precision="fp32"))
    task.network.eval()
    batch = task.collate([task.photos[i] for i in range(2)])
    cache = FeatureCache(views=1, photos=2)
    with torch.no_grad():
        expected = task.losses(task.network, batch, random.Random(0))
        cache.fill(task.photos, task.collate, task.frozen_features, 0, lambda n: None)
        task.keep_features(cache)
        kept = task.collate([task.photos[i] for i in range(2)])
        actual = task.losses(task.network, kept, random.Random(0))
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-2)


def test_photos_without_outlines_have_no_loss(annotations: Annotations) -> None:
    bare = [replace(p, objects=p.objects[1:]) for p in annotations.photos]
    task = make_task(replace(annotations, photos=tuple(bare)), Recipe(frozen_detector=True))
    batch = task.collate([task.photos[i] for i in range(2)])
    losses = task.losses(task.network, batch, random.Random(0))
    assert [loss.item() for loss in losses] == [0, 0]
    sum(losses).backward()

"""Samples are what the service would make of a photo, and the same however they are loaded."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from models.datasets.coco import read_coco
from models.datasets.content import LabelledPhoto, Photo
from models.training.augment import Augment
from models.training.augment.geometry import Loaded
from models.training.dataset import (
    ClassificationDataset,
    DetectionDataset,
    collate,
    normalise,
    random_crop,
    random_region,
    stack,
    training_side,
)
from models.training.features import FeatureCache
from models.variants import VARIANTS, at_size
from service.imaging.files import PhotoError, read_photo
from service.imaging.input_spec import InputSpec
from tests.models.datasets.objects import make_photo

CROP = VARIANTS["resnet18"].input
COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250))


def square(side: int) -> InputSpec:
    return at_size(VARIANTS["efficientdet_lite0"], side).input


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Photo, ...]:
    """Five photos of one colour, each with as many boxes as its index says."""
    folder = tmp_path_factory.mktemp("pictures")
    photos = []
    for index, colour in enumerate(COLOURS):
        path = folder / f"{index}.png"
        Image.new("RGB", (80, 60), colour).save(path)
        boxes, labels = [(10.0, 10, 60, 50)] * index, [index] * index
        photos.append(make_photo(index, path, (80, 60), boxes, labels))
    return tuple(photos)


@pytest.fixture(scope="module")
def labelled(pictures: tuple[Photo, ...]) -> tuple[LabelledPhoto, ...]:
    return tuple(LabelledPhoto(photo.path, index) for index, photo in enumerate(pictures))


def test_what_is_loaded_may_be_changed(pictures: tuple[Photo, ...]) -> None:
    dataset = DetectionDataset(pictures, square(160), Augment())
    _, boxes, targets = dataset.load(1)
    boxes += 1
    targets += 1
    _, boxes, targets = dataset.load(1)
    assert (boxes.tolist(), targets.tolist()) == ([[10.0, 10.0, 60.0, 50.0]], [[1.0, 1.0]])


def test_an_index_beyond_the_photos_is_another_view_of_one(pictures: tuple[Photo, ...]) -> None:
    dataset = DetectionDataset(pictures, square(64), Augment(), seed=1)
    for index in range(5):
        first, again = dataset[index], dataset[index + 5]
        assert set(first[2][:, 0].tolist()) | set(again[2][:, 0].tolist()) <= {index}
        assert not torch.equal(first[0], again[0])


class Pair:
    """Two photos side by side: the one asked for, and one that chance picks."""

    def view(
        self, load: Callable[[int], Loaded], index: int, count: int, size: int, rng: random.Random
    ) -> Loaded:
        canvas = Image.new("RGB", (size, size))
        other = rng.randrange(count)
        for place, i in enumerate((index, other)):
            image, _, _ = load(i)
            canvas.paste(image.resize((size // 2, size)), (place * size // 2, 0))
        return canvas, torch.tensor([[rng.random()] * 4]), torch.tensor([other])


def test_so_it_is_of_classes_and_of_kept_features(labelled: tuple[LabelledPhoto, ...]) -> None:
    classes = ClassificationDataset(labelled, CROP)
    cache = FeatureCache(views=2, photos=5)
    for _ in range(2):
        boxes, targets = [torch.zeros(1, 4)] * 5, [torch.tensor([[i, 1]]) for i in range(5)]
        cache.add([torch.zeros(5, 1, 2, 2)], boxes, targets)
    for index in range(5):
        assert classes[index][1] == classes[index + 10][1] == index
        assert cache[index][2].tolist() == cache[index + 10][2].tolist() == [[index, 1]]


def test_an_augmentation_may_mix_other_photos_in(pictures: tuple[Photo, ...]) -> None:
    dataset = DetectionDataset(pictures, square(64), Pair(), seed=1)
    others = set()
    for epoch in range(30):
        dataset.set_epoch(epoch)
        image, _, labels = dataset[3]
        assert image[:, 32, 10].tolist() == list(COLOURS[3])
        assert image[:, 32, 50].tolist() == list(COLOURS[int(labels)])
        others.add(int(labels))
    assert others == {0, 1, 2, 3, 4}


def detections(pictures: tuple[Photo, ...], seed: int) -> DetectionDataset:
    return DetectionDataset(pictures, square(64), Augment(mosaic=0.5, mixup=0.5, noise=9.0), seed)


def test_a_sample_is_of_the_seed_the_epoch_and_the_index(pictures: tuple[Photo, ...]) -> None:
    seen = {}
    for seed in (0, 1):
        for epoch in (1, 2, 11):
            dataset = detections(pictures, seed)
            dataset.set_epoch(epoch)
            assert dataset.epoch == epoch
            for index in range(5):
                seen[seed, epoch, index] = dataset[index][0].numpy().tobytes()
    assert len(set(seen.values())) == len(seen)
    again = detections(pictures, 1)
    again.set_epoch(11)
    random.seed(5)
    torch.manual_seed(5)
    np.random.seed(5)
    for index in (4, 0, 0, 2):  # nor does the order
        assert again[index][0].numpy().tobytes() == seen[1, 11, index]


def run_epochs(loader: DataLoader, epochs: tuple[int, ...]) -> list[list[list[Tensor]]]:
    """All tensors of each batch of each epoch."""
    passes = []
    for epoch in epochs:
        loader.dataset.set_epoch(epoch)
        passes.append([flat(batch) for batch in loader])
    return passes


def flat(batch: tuple) -> list[Tensor]:
    images, *targets = batch
    return [images, *(t for target in targets for t in target)]


def differs(first: list[list[Tensor]], second: list[list[Tensor]]) -> bool:
    return not all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("task", ["detection", "classification"])
@pytest.mark.parametrize("persistent", [True, False], ids=["persistent", "fresh"])
def test_samples_are_the_same_however_many_processes_load_them(
    pictures: tuple[Photo, ...],
    labelled: tuple[LabelledPhoto, ...],
    task: str,
    persistent: bool,
) -> None:
    def loader(workers: int) -> DataLoader:
        if task == "detection":
            dataset, join = detections(pictures, 3), collate
        else:
            dataset, join = ClassificationDataset(labelled, CROP, 3), default_collate
        keep = persistent and workers > 0
        return DataLoader(dataset, 2, collate_fn=join, num_workers=workers, persistent_workers=keep)

    epochs = (1, 2, 1)
    alone, together = run_epochs(loader(0), epochs), run_epochs(loader(2), epochs)
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
    assert differs(together[0], together[1])
    torch.testing.assert_close(together[0], together[2], rtol=0, atol=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_named(
    tmp_path: Path, pictures: tuple[Photo, ...], workers: int
) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(pictures[0].path.read_bytes()[:60])
    photo = make_photo(1, path, (80, 60))
    dataset = DetectionDataset((photo,), square(64), Augment())
    with pytest.raises(PhotoError, match=r"cut\.png: The image is damaged or cut short"):
        list(DataLoader(dataset, collate_fn=collate, num_workers=workers))


def test_coco_becomes_batches(tmp_path: Path) -> None:
    content = {
        "images": [{"id": i, "file_name": "a.png", "width": 40, "height": 40} for i in (1, 2)],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 5, "bbox": [4, 6, 8, 10]}],
        "categories": [{"id": 5, "name": "cat"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    noise(40, 40).save(tmp_path / "a.png")
    photos = read_coco(tmp_path / "train.json", tmp_path).annotations.photos
    whole = Augment(scale=(1.0, 1.0), flip=0.0)
    loader = DataLoader(DetectionDataset(photos, square(80), whole), 2, collate_fn=collate)
    ((images, boxes, targets),) = loader
    assert images.shape == (2, 3, 80, 80)
    assert [b.tolist() for b in boxes] == [[], [[8.0, 12.0, 24.0, 32.0]]]
    assert [t.tolist() for t in targets] == [[], [[0, 1]]]
    means = {"mean": (0.5, 0.25, 0.0), "std": (0.5, 1.0, 2.0)}
    scaled = normalise(images, square(80).model_copy(update=means))
    torch.testing.assert_close(scaled[:, 2], images[:, 2] / 510)
    torch.testing.assert_close(scaled[:, 0], images[:, 0] / 127.5 - 1)


def test_classes_become_batches(labelled: tuple[LabelledPhoto, ...]) -> None:
    dataset = ClassificationDataset(labelled, CROP)
    assert len(dataset) == 5
    images, labels = default_collate([dataset[i] for i in range(5)])
    assert images.shape == (5, 3, 224, 224)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 1, 2, 3, 4]


def test_whole_photos_become_batches(labelled: tuple[LabelledPhoto, ...]) -> None:
    images = stack([read_photo(photo.path, CROP) for photo in labelled])
    assert images.shape == (5, 3, 224, 224)
    assert images.dtype == torch.uint8
    assert images[:, :, 112, 112].tolist() == [list(colour) for colour in COLOURS]


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [("retinanet_resnet50_fpn_v2", 512, 512), ("efficientdet_d1", 640, 640), ("resnet18", 64, 64)],
)
def test_the_side_that_is_trained_on_is_the_size_that_is_asked_for(
    name: str, size: int, side: int
) -> None:
    assert training_side(at_size(VARIANTS[name], size).input) == side


@pytest.mark.parametrize("size", [(640, 480), (100, 300), (7, 5), (1, 1)])
def test_a_random_region_is_within_the_photo(size: tuple[int, int]) -> None:
    width, height = size
    regions = [random_region(width, height, random.Random(seed)) for seed in range(300)]
    for left, top, right, bottom in regions:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    if size == (640, 480):
        areas = [(r - x) * (b - y) / (width * height) for x, y, r, b in regions]
        ratios = [(r - x) / (b - y) for x, y, r, b in regions]
        assert min(areas) == pytest.approx(0.35, abs=0.02)
        assert 0.9 < max(areas) <= 1.001
        assert min(ratios) == pytest.approx(3 / 4, abs=0.02)
        assert max(ratios) == pytest.approx(4 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2000, 90), (940, 0, 1060, 90)), ((90, 2000), (0, 940, 90, 1060))],
)
def test_of_a_photo_that_is_too_long_the_middle_is_taken(
    size: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert random_region(*size, random.Random(0)) == pytest.approx(expected)


def test_random_crops_are_flipped_half_of_the_time_and_recoloured() -> None:
    image = Image.new("RGB", (300, 300), (200, 60, 60))
    image.paste((60, 60, 200), (0, 0, 150, 300))  # blue on the left
    crops = [random_crop(image, CROP, random.Random(seed)) for seed in range(200)]
    pixels = np.stack([np.asarray(crop) for crop in crops]).astype(int)
    assert pixels.shape == (200, 224, 224, 3)
    left = pixels[:, :, 0].mean(axis=1)
    right = pixels[:, :, -1].mean(axis=1)
    both = (left[:, 2] - left[:, 0]) * (right[:, 2] - right[:, 0]) < 0  # both colours are seen
    flipped = (left[:, 0] > left[:, 2])[both]
    assert both.sum() > 150
    assert 0.35 < flipped.mean() < 0.65
    assert len({tuple(crop) for crop in left.round().astype(int).tolist()}) > 150

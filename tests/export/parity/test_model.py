"""Images become what a graph reads."""

from pathlib import Path

import numpy as np

from export.parity.model import stack, to_feeds
from service.package import open_package


def test_detectors_get_the_manifests_settings_or_those_that_are_named(store: Path) -> None:
    manifest = open_package(store / "efficientdet_lite0_voc" / "1").manifest
    feeds = to_feeds(manifest, [np.zeros((16, 16, 3), np.uint8)], score_threshold=0.0)
    assert list(feeds) == [tensor.name for tensor in manifest.inputs]
    assert feeds["images"].shape == (1, 16, 16, 3)
    assert (feeds["score_threshold"], feeds["max_detections"]) == (0, 100)
    assert not feeds["class_agnostic"]


def test_classifiers_get_images_alone(store: Path) -> None:
    manifest = open_package(store / "efficientnet_lite0_imagenet" / "1").manifest
    assert list(to_feeds(manifest, [np.zeros((16, 16, 3), np.uint8)])) == ["images"]


def test_images_of_several_sizes_are_filled_up_to_one_batch() -> None:
    wide, high = np.full((2, 5, 3), 10, np.uint8), np.full((4, 3, 3), 20, np.uint8)
    batch = stack([wide, high])
    assert batch.shape == (2, 4, 5, 3)
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(batch[0, :2], wide)
    np.testing.assert_array_equal(batch[1, :, :3], high)
    assert (batch[0, 2:] == 128).all()
    assert (batch[1, :, 3:] == 128).all()


def test_images_of_one_size_are_a_batch_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(stack(list(images)), images)

"""What is compared: photos at every batch size, and images that are hard for a graph."""

import numpy as np

from export.parity.cases import detector_cases, fitted, image_cases, photo_cases, shaped_photos
from export.parity.model import Model


def test_every_photo_runs_at_every_batch_size() -> None:
    photos = [np.full((4, 4, 3), i, np.uint8) for i in range(3)]
    cases = [(str(case), case.images[:, 0, 0, 0].tolist()) for case in photo_cases(photos)]
    assert cases == [
        ("photos at batch 1, from photo 0", [0]),
        ("photos at batch 1, from photo 1", [1]),
        ("photos at batch 1, from photo 2", [2]),
        ("photos at batch 2, from photo 0", [0, 1]),
        ("photos at batch 2, from photo 2", [2, 0]),
        ("photos at batch 7, from photo 0", [0, 1, 2, 0, 1, 2, 0]),
    ]


def test_cases_are_the_same_at_every_export(detector: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = detector
    first, second = ([*image_cases(photos), *detector_cases(model, photos)] for _ in range(2))
    for case, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(case.images, again.images)
        assert case.score_threshold == again.score_threshold


def test_photos_of_all_shapes_fill_one_canvas(detector: tuple[Model, list[np.ndarray]]) -> None:
    photos = detector[1]
    shaped = shaped_photos(photos)
    assert {image.shape for image in shaped} == {photos[0].shape}
    height, width = photos[0].shape[:2]
    portrait, _, panorama, _ = shaped
    assert (portrait[:, width // 2 :] == 128).all()
    assert (panorama[height // 2 :] == 128).all()
    assert portrait[:, : width // 4].std() > 10
    assert panorama[: height // 8].std() > 10


def test_photo_of_the_canvas_size_is_fitted_as_it_is() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fitted(photo, photo), photo)

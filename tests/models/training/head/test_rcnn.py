"""R-CNN, from boxes of colours to a checkpoint that the export makes a detector of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.settings import NONE_STATED
from export.trained_model import load_model
from models.box_coder import BoxCoder
from models.training.head import regions
from models.training.head.linear import BACKGROUND
from models.training.head.regions import FEWEST_REGRESSED, NEAR, Nearby, regress
from models.training.head.views import View
from service.imaging.files import read_photo
from service.imaging.proposals import NoProposals
from service.inference.detector import DetectionQuery, Detector
from tests.models.training.head.test_run import COLOURS, SIZE, boxes, run

__all__ = ["boxes"]  # a fixture


def windows(pixels: np.ndarray) -> np.ndarray:
    """Some all over a photo, a few of them near the boxes of `boxes`."""
    at = [(x, y) for x in range(0, SIZE[0] - 32, 6) for y in (2, 18)]
    return np.array([[x, y, x + 30, y + 28] for x, y in at], np.float32)


def test_boxes_become_a_detector(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "propose", windows)
    options = ("--features", "rcnn_lite0", "--kind", "svm", "--background", "4", "--rounds", "1")
    status, said = run("--data", str(boxes), "--output", str(tmp_path), *options)
    assert status == 0, said
    assert float(said.split("AP50 ")[1][:5]) > 0.5
    assert f"python -m export create rcnn_lite0 --weights {tmp_path / 'best.pth'}" in said
    assert "hard negatives" in (tmp_path / "report.html").read_text(encoding="utf-8")

    model = load_model("rcnn_lite0", tmp_path / "best.pth", NONE_STATED)
    assert [(label.id, label.name) for label in model.labels] == list(enumerate(COLOURS, 5))
    photo = read_photo(boxes / "val" / "0.png", model.variant.input)
    asked = ((5.0, 20.0, 35.0, 44.0), (45.0, 0.0, 80.0, 18.0))  # its object, and nothing
    query = DetectionQuery(np.float32(0.3), np.float32(0.5), 10, None, regions=asked)
    (rows,) = Detector(model.package()).run([photo], [query])
    assert [row["label"] for row in rows] == [next(iter(COLOURS))]
    assert np.abs(np.array(rows[0]["box"]) - asked[0]).max() < 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kind", "softmax"), "knows no background, from which rcnn_lite0 must tell objects"),
        (("--kind", "svm"), "install opencv-contrib-python-headless"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    boxes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    def nothing(pixels: np.ndarray) -> np.ndarray:
        raise NoProposals("install opencv-contrib-python-headless")

    monkeypatch.setattr(regions, "propose", nothing)
    where = ("--data", str(boxes), "--output", str(tmp_path))
    status, said = run("--features", "rcnn_lite0", *where, *options)
    assert status == 1
    assert "error: " in said
    assert message in said


def test_boxes_are_moved_by_what_their_features_say() -> None:
    """Of the first class the features are how far off a box is; of the second there are too few."""
    rng, coder = np.random.default_rng(0), BoxCoder()
    features = rng.normal(size=(60, 5)).astype(np.float32)
    views: list[View] = [View(Path("a"), BACKGROUND, 0, (0, 0, 9, 9))]
    for i, row in enumerate(features[1:]):
        box = (10.0, 10.0, 30.0, 50.0)
        moved = coder.decode(torch.tensor(row[:4]) / 10 + 0.05, torch.tensor(box))
        label = 0 if i < 60 - FEWEST_REGRESSED else 1
        target = tuple(moved.tolist())
        views.append(Nearby(Path("a"), NEAR, 0, box, thing=label, target=target))
    weight, bias = regress(coder, features, views, classes=2)
    deltas = features @ weight.T + bias
    np.testing.assert_allclose(deltas[:, :4], features[:, :4] / 10 + 0.05, atol=5e-3)
    assert (deltas[:, 4:] == 0).all()

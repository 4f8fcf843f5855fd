"""A network in PyTorch answers as the package that was exported from it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.evaluation.column import QUERY, PackageColumn
from export.evaluation.network import NetworkColumn
from export.onnx.graph import build_graph
from models.checkpoints import load_checkpoint
from models.variants import VARIANTS
from models.weights import load_into
from service.imaging.files import read_photo
from service.manifest import Label
from service.package import PackageError

from .columns import ignore


def test_a_network_answers_as_its_package(
    classifier: PackageColumn, imagenet_weights: Path, photos: Path
) -> None:
    column = NetworkColumn(imagenet_weights, classifier.manifest)
    assert column.sha256 == classifier.manifest.provenance.weights_sha256
    paths = sorted(photos.glob("*.jpg"))
    for own, other in zip(
        column.answer(paths, ignore), classifier.answer(paths, ignore), strict=True
    ):
        assert [row["label"] for row in own] == [row["label"] for row in other]
        assert [row["score"] for row in own] == pytest.approx(
            [row["score"] for row in other], abs=1e-4
        )


def test_a_detecting_network_answers_as_its_graph(
    checkpoint: Path, detector: PackageColumn, photos: Path
) -> None:
    """Of a size of its own, which the manifest states."""
    names = ("person", "cat", "cup", "rocket")
    variant = VARIANTS[checkpoint.stem]
    spec = variant.input.model_copy(update={"height": 256, "width": 256})
    manifest = detector.manifest.model_copy(
        update={
            "labels": tuple(Label(id=i, name=name) for i, name in enumerate(names, 1)),
            "input": spec,
            "provenance": detector.manifest.provenance.model_copy(
                update={"architecture": checkpoint.stem}
            ),
        }
    )
    photo = photos / "cat.jpg"
    [rows] = NetworkColumn(checkpoint, manifest).answer([photo], ignore)
    network = variant.build(4)
    load_into(network, load_checkpoint(checkpoint).state, "")
    inputs = read_photo(photo, manifest.input)
    feeds = (
        np.stack([inputs.pixels]),
        np.array(QUERY.score_threshold),
        np.array(QUERY.iou_threshold),
        np.array(QUERY.max_detections),
    )
    with torch.no_grad():
        numbers, boxes, scores, labels = build_graph(network, spec)(*map(torch.from_numpy, feeds))
    expected = inputs.placement.undo(boxes[0, : numbers[0]].numpy())
    assert len(rows) > 10
    assert rows[0]["box"] == pytest.approx(expected[0].tolist(), abs=0.01)
    assert rows[0]["score"] == pytest.approx(float(scores[0, 0]), abs=1e-5)
    assert rows[0]["label"] == names[int(labels[0, 0])]


def test_a_stated_temperature_is_the_networks(
    classifier: PackageColumn, imagenet_weights: Path, photos: Path
) -> None:
    provenance = classifier.manifest.provenance.model_copy(
        update={"settings": {"temperature": "2.0"}}
    )
    stated = classifier.manifest.model_copy(update={"provenance": provenance})
    plain, tempered = (
        NetworkColumn(imagenet_weights, manifest).answer([photos / "cat.jpg"], ignore)[0]
        for manifest in (classifier.manifest, stated)
    )
    assert [row["label"] for row in tempered] == [row["label"] for row in plain]
    ratios = [
        (rows[0]["score"] / rows[4]["score"]) ** power
        for rows, power in ((plain, 0.5), (tempered, 1))
    ]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-3)


def test_an_architecture_that_nobody_knows_is_refused(
    classifier: PackageColumn, imagenet_weights: Path
) -> None:
    provenance = classifier.manifest.provenance.model_copy(update={"architecture": "lenet"})
    manifest = classifier.manifest.model_copy(update={"provenance": provenance})
    with pytest.raises(PackageError, match="was exported from lenet, which is none"):
        NetworkColumn(imagenet_weights, manifest)

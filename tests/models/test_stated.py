"""What checkpoints state beside their tensors."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.checkpoints import Checkpoint, load_checkpoint

STATE = {"fc.weight": torch.ones(3, 4)}


def stated(checkpoint: Checkpoint) -> dict[str, Any]:
    return {name: value.value for name, value in checkpoint.stated.items()}


def save(content: object, folder: Path) -> Checkpoint:
    torch.save(content, folder / "a.pth")
    return load_checkpoint(folder / "a.pth")


def test_trainers_keep_their_arguments(tmp_path: Path) -> None:
    arguments = argparse.Namespace(
        model="resnet18", mean=[0.5, 0.5, 0.5], std=None, img_size=192, crop_pct=0.96, lr=0.1
    )
    checkpoint = save({"state_dict": STATE, "args": arguments}, tmp_path)
    assert stated(checkpoint) == {
        "architecture": "resnet18",
        "mean": (0.5, 0.5, 0.5),
        "input_size": 192,
        "resize": "centre_crop",
        "shorter_side": 200,
    }
    assert {value.source for value in checkpoint.stated.values()} == {"its args"}
    reference = argparse.Namespace(model="vgg11", val_resize_size=232, val_crop_size=224)
    assert stated(save({"model": STATE, "args": reference}, tmp_path)) == {
        "architecture": "vgg11",
        "input_size": 224,
        "shorter_side": 232,
    }


def test_lightning_keeps_hyper_parameters(tmp_path: Path) -> None:
    held = {"class_names": ["cat", "dog", "cow"], "image_mean": (0, 0, 0), "lr": 1e-3}
    checkpoint = save({"state_dict": STATE, "hyper_parameters": held}, tmp_path)
    assert stated(checkpoint) == {"mean": (0.0, 0.0, 0.0)}
    assert checkpoint.labels == ((0, "cat"), (1, "dog"), (2, "cow"))


def test_timms_savers_name_the_architecture(tmp_path: Path) -> None:
    content = {"arch": "tf_efficientnet_b0", "state_dict": STATE, "epoch": 3}
    assert stated(save(content, tmp_path)) == {"architecture": "tf_efficientnet_b0"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "config.json": {
                    "architecture": "resnet18",
                    "pretrained_cfg": {
                        "mean": [0.5, 0.5, 0.5],
                        "std": [0.5, 0.5, 0.5],
                        "crop_pct": 0.95,
                        "input_size": [3, 224, 224],
                        "interpolation": "bicubic",
                    },
                }
            },
            {
                "architecture": "resnet18",
                "mean": (0.5, 0.5, 0.5),
                "std": (0.5, 0.5, 0.5),
                "input_size": 224,
                "interpolation": "bicubic",
                "resize": "centre_crop",
                "shorter_side": 235,
            },
        ),
        (
            {
                "preprocessor_config.json": {
                    "size": {"shortest_edge": 224},
                    "crop_pct": 0.875,
                    "resample": 3,
                    "image_mean": [0.5, 0.5, 0.5],
                }
            },
            {
                "mean": (0.5, 0.5, 0.5),
                "interpolation": "bicubic",
                "resize": "centre_crop",
                "input_size": 224,
                "shorter_side": 256,
            },
        ),
        (
            {
                "preprocessor_config.json": {
                    "size": {"height": 256, "width": 256},
                    "do_center_crop": False,
                    "resample": 2,
                }
            },
            {"interpolation": "bilinear", "resize": "stretch", "input_size": 256},
        ),
        ({"config.json": "no JSON"}, {}),
    ],
    ids=["timm", "transformers' ResNet", "transformers' stretch", "damaged"],
)
def test_hugging_face_writes_files_beside_the_weights(
    tmp_path: Path, files: dict[str, Any], expected: dict[str, Any]
) -> None:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text)
    assert stated(save(STATE, tmp_path)) == expected


class Part(nn.Module):
    """Any part of a network, with attributes of its own."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


class Coder:
    """torchvision's, which is no module."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        self.weights = weights


def test_a_pickled_torchvision_detector_states_its_transform_and_anchors(tmp_path: Path) -> None:
    network = Part(
        transform=Part(
            min_size=(600,),
            max_size=1000,
            image_mean=[0.0, 0.0, 0.0],
            image_std=[1.0, 1.0, 1.0],
            size_divisible=32,
        ),
        rpn=Part(
            anchor_generator=Part(
                sizes=((16,), (32,), (64,), (128,), (256,)), aspect_ratios=((0.5, 1.0, 2.0),) * 5
            ),
            _pre_nms_top_n={"training": 2000, "testing": 1000},
            _post_nms_top_n={"training": 2000, "testing": 300},
            nms_thresh=0.6,
        ),
        roi_heads=Part(
            score_thresh=0.1,
            nms_thresh=0.4,
            detections_per_img=50,
            box_coder=Coder((2.0, 2.0, 1.0, 1.0)),
        ),
        head=nn.Linear(2, 2),
    )
    assert stated(save(network, tmp_path)) == {
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "shorter_side": 600,
        "longer_side": 1000,
        "divisor": 32,
        "anchor_sizes": ((16,), (32,), (64,), (128,), (256,)),
        "aspect_ratios": (0.5, 1.0, 2.0),
        "proposal_candidates": 1000,
        "proposals": 300,
        "proposal_iou_threshold": 0.6,
        "score_threshold": 0.1,
        "iou_threshold": 0.4,
        "max_detections": 50,
        "box_weights": (2.0, 1.0),
    }


def test_a_pickled_timm_model_states_its_configuration(tmp_path: Path) -> None:
    held = {
        "mean": (0.5, 0.5, 0.5),
        "crop_pct": 1.0,
        "input_size": (3, 64, 64),
        "architecture": "x",
    }
    network = Part(pretrained_cfg=held, head=nn.Linear(2, 2))
    found = stated(save({"model": network}, tmp_path))
    assert found["shorter_side"] == found["input_size"] == 64
    assert (found["mean"], found["architecture"]) == ((0.5, 0.5, 0.5), "x")


def test_effdets_anchors_are_kept_beside_the_weights(tmp_path: Path) -> None:
    boxes = torch.ones(9, 4)
    checkpoint = save({**STATE, "anchors.boxes": boxes}, tmp_path)
    assert list(checkpoint.state) == list(STATE)
    torch.testing.assert_close(checkpoint.laid_out, boxes)

"""Weights fitted into networks: every tensor, or a clear refusal."""

from pathlib import Path

import pytest
import torch

from models.checkpoint_file import CheckpointError
from models.checkpoints import load_checkpoint
from models.retinanet import RetinaNet, RetinaNetSettings
from models.variants import find_variant
from models.weights import count_classes, load_backbone, load_into, load_start

from .checkpoints import (
    Build,
    assert_holds,
    faster_rcnn,
    randomised,
    resnet18,
    retinanet,
    shapes_of,
    torchvision_faster_rcnn,
    torchvision_resnet,
    torchvision_retinanet,
    without_counters,
)


@pytest.mark.parametrize("network", [resnet18, retinanet, faster_rcnn])
def test_our_own_names_are_loaded_as_they_are(network: Build) -> None:
    state, fresh = randomised(network()), network()
    recognised = load_into(fresh, state, "best.pth")
    assert recognised.family == "Boxport"
    assert_holds(fresh, state)


def test_torchvisions_resnet_is_recognised() -> None:
    theirs, network = torchvision_resnet(resnet18()), resnet18()
    assert {"conv1.weight", "layer4.1.bn2.running_var", "fc.bias"} < set(theirs)
    recognised = load_into(network, theirs, "resnet18.pth")
    assert str(recognised) == "122 tensors of torchvision ResNet"
    assert_holds(network, randomised(resnet18()))


@pytest.mark.parametrize(
    ("group_norm", "new"),
    [(False, False), (False, True), (True, True)],
    ids=["old names", "new names", "second version"],
)
def test_torchvisions_retinanet_is_recognised(group_norm: bool, new: bool) -> None:
    theirs = torchvision_retinanet(retinanet(group_norm=group_norm), new)
    assert ("head.classification_head.conv.3.0.weight" in theirs) == new
    assert ("head.classification_head.conv.6.weight" in theirs) == (not new)
    network = retinanet(group_norm=group_norm)
    recognised = load_into(network, theirs, "retinanet.pth")
    assert recognised.family == "torchvision RetinaNet"
    assert recognised.tensors == len(theirs)
    assert_holds(network, randomised(retinanet(group_norm=group_norm)))


@pytest.mark.parametrize("new", [False, True], ids=["old names", "new names"])
def test_torchvisions_faster_rcnn_is_recognised(new: bool) -> None:
    theirs, network = torchvision_faster_rcnn(faster_rcnn(), new), faster_rcnn()
    assert ("rpn.head.conv.0.0.weight" in theirs) == new
    recognised = load_into(network, theirs, "fasterrcnn.pth")
    assert recognised.family == "torchvision Faster R-CNN"
    assert_holds(network, randomised(faster_rcnn()))


@pytest.mark.parametrize("network", [resnet18, retinanet, faster_rcnn])
def test_batch_norms_trained_frozen_need_no_counters(network: Build) -> None:
    state, fresh = without_counters(randomised(network())), network()
    assert load_into(fresh, state, "frozen.pth").tensors == len(state)
    assert_holds(fresh, state)


def test_a_running_mean_is_no_counter() -> None:
    state = randomised(resnet18())
    del state["backbone.bn1.running_mean"]
    with pytest.raises(CheckpointError, match=r"1 missing \(backbone.bn1.running_mean\)$"):
        load_into(resnet18(), state, "cut.pth")


@pytest.mark.parametrize("network", [resnet18, retinanet, faster_rcnn])
def test_another_number_of_classes_is_named_with_what_to_pass(network: Build) -> None:
    fresh = network(2)
    before = {key: tensor.clone() for key, tensor in fresh.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_into(fresh, randomised(network(5)), "five.pth")
    message = str(caught.value)
    assert message.startswith("five.pth was trained on 5 classes, not 2: name all 5 of them")
    assert "--labels" in message
    torch.testing.assert_close(dict(fresh.state_dict()), before)


@pytest.mark.parametrize("classes", [1, 5, 90])
def test_classes_of_a_foreign_checkpoint_are_counted(classes: int) -> None:
    """Without torchvision's background, and not once for each anchor."""
    rows = {
        "fc.weight": (resnet18, classes, "layer1.0.conv1.weight"),
        "head.classification_head.cls_logits.weight": (retinanet, 9 * classes, "p6.weight"),
        "roi_heads.box_predictor.cls_score.weight": (faster_rcnn, 1 + classes, "rpn.weight"),
    }
    for key, (build, number, other) in rows.items():
        with torch.device("meta"):
            state = {key: torch.zeros(number, 7), other: torch.zeros(1)}
            assert count_classes(build(1), state) == classes, key


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "vgg11",
        "efficientnet_lite0",
        "efficientdet_lite0",
        "retinanet_lite0",
        "fasterrcnn_resnet50_fpn",
        "resnet18+bilinear",
    ],
)
def test_classes_of_a_checkpoint_of_ours_are_counted(name: str) -> None:
    with torch.device("meta"):
        network = find_variant(name).build(1)
    assert count_classes(network, dict(shapes_of(name).state_dict())) == 90


def test_a_checkpoint_without_the_class_layer_has_no_number_of_classes() -> None:
    assert count_classes(resnet18(1), {"weight": torch.zeros(3)}) is None


def test_a_head_of_another_width_is_not_taken_for_other_classes() -> None:
    wider = RetinaNet(RetinaNetSettings("resnet18", channels=64, top="convolved P5"), 5)
    with pytest.raises(CheckpointError, match="of another shape"):
        load_into(retinanet(2), randomised(wider), "wider.pth")


def test_what_does_not_fit_is_listed_with_its_family() -> None:
    state = torchvision_resnet(resnet18())
    for key in ("conv1.weight", "layer1.0.bn1.bias"):
        del state[key]
    for name in "abcde":
        state[f"extra.{name}"] = torch.zeros(1)
    state["layer4.1.conv2.weight"] = torch.zeros(2, 3)
    with pytest.raises(CheckpointError) as caught:
        load_into(resnet18(), state, "net.pth")
    assert str(caught.value) == (
        "net.pth, read as torchvision ResNet, does not fit ResNet:"
        " 2 missing (backbone.conv1.weight, backbone.layer1.0.bn1.bias);"
        " 5 unexpected (extra.a, extra.b, extra.c, …);"
        " 1 of another shape (backbone.layer4.1.conv2.weight (2, 3), not (512, 512, 3, 3))"
    )


FOREIGN_MARKS = {
    "EfficientNet-PyTorch": ["_conv_stem.weight", "_blocks.0._bn1.weight"],
    "effdet EfficientDet": [
        "class_net.predict.conv_pw.weight",
        "fpn.cell.0.fnode.0.combine.edge_weights",
    ],
    "timm EfficientNet": ["conv_stem.weight", "blocks.0.0.bn1.weight"],
    "torchvision EfficientNet": ["features.1.0.block.0.0.weight", "features.8.0.weight"],
    "torchvision Faster R-CNN": ["roi_heads.box_predictor.cls_score.weight"],
    "torchvision RetinaNet": ["head.classification_head.cls_logits.weight"],
    "torchvision VGG": ["classifier.3.weight", "features.0.weight"],
}


@pytest.mark.parametrize("family", FOREIGN_MARKS)
def test_weights_of_another_architecture_are_refused_by_name(family: str) -> None:
    state = {key: torch.zeros(1) for key in FOREIGN_MARKS[family]}
    with pytest.raises(CheckpointError) as caught:
        load_into(resnet18(), state, "other.pth")
    assert str(caught.value).startswith(f"other.pth, read as {family}, does not fit ResNet: ")


@pytest.mark.parametrize("family", FOREIGN_MARKS)
def test_weights_of_another_architecture_have_no_number_of_classes(family: str) -> None:
    state = {key: torch.zeros(1) for key in FOREIGN_MARKS[family]}
    assert count_classes(resnet18(1), state) is None


@pytest.mark.parametrize("network", [resnet18, retinanet])
def test_training_goes_on_with_other_classes(network: Build) -> None:
    state, fresh = randomised(network(5)), network(2)
    own = {k: v.clone() for k, v in fresh.state_dict().items() if k.startswith(fresh.class_layer)}
    recognised = load_start(fresh, state, "five.pth")
    assert_holds(fresh, {**state, **own})
    assert recognised.tensors == len(state) - len(own)
    assert "keeps its initial weights" in str(recognised)


@pytest.mark.parametrize("network", [resnet18, retinanet])
def test_training_goes_on_with_the_same_classes(network: Build) -> None:
    state, fresh = randomised(network(5)), network(5)
    assert "anew" not in str(load_start(fresh, state, "five.pth"))
    assert_holds(fresh, state)


def test_training_goes_on_from_half_precision() -> None:
    state, fresh = randomised(resnet18()), resnet18()
    load_start(fresh, {k: v.half() if v.is_floating_point() else v for k, v in state.items()}, "")
    assert all(v.dtype == torch.float32 for v in fresh.parameters())
    torch.testing.assert_close(fresh.classifier.weight, state["classifier.weight"].half().float())


def test_other_classes_excuse_no_other_difference() -> None:
    state = randomised(retinanet(5))
    del state["box_head.predict.bias"]
    with pytest.raises(CheckpointError, match=r"1 missing \(box_head\.predict\.bias\)"):
        load_start(retinanet(2), state, "cut.pth")


def test_a_detector_does_not_start_from_another_architectures_backbone(
    imagenet_weights: Path,
) -> None:
    state = load_checkpoint(imagenet_weights).state
    with pytest.raises(CheckpointError, match=r"lite0\.pth"):
        load_backbone(retinanet(), state, "lite0.pth")


@pytest.mark.parametrize("theirs", [False, True], ids=["our names", "torchvision's names"])
@pytest.mark.parametrize(
    "detector",
    [retinanet, lambda: find_variant("resnet18+bilinear").build(4)],
    ids=["retinanet", "bilinear"],
)
def test_a_network_starts_from_a_resnets_backbone(detector: Build, theirs: bool) -> None:
    classifier = resnet18(1000)
    state = torchvision_resnet(classifier) if theirs else randomised(classifier)
    network = detector()
    rest = {
        key: tensor.clone()
        for key, tensor in network.state_dict().items()
        if not key.startswith("backbone.")
    }
    load_backbone(network, state, "resnet18.pth")
    expected = {k: t for k, t in randomised(classifier).items() if k.startswith("backbone.")}
    assert_holds(network, {**expected, **rest})


def test_a_two_stage_detector_starts_from_a_resnets_backbone() -> None:
    network = faster_rcnn()
    load_backbone(network, torchvision_resnet(resnet18()), "resnet18.pth")
    expected = randomised(resnet18())["backbone.layer4.1.conv2.weight"]
    torch.testing.assert_close(network.state_dict()["backbone.layer4.1.conv2.weight"], expected)


def test_a_backbone_needs_all_its_tensors() -> None:
    state = torchvision_resnet(resnet18())
    del state["layer3.1.conv1.weight"]
    with pytest.raises(
        CheckpointError, match=r"cut\.pth.*: 1 missing \(\S*layer3\.1\.conv1\.weight\)$"
    ):
        load_backbone(retinanet(), state, "cut.pth")


def test_a_new_head_behind_a_dropout_is_read() -> None:
    theirs, network = torchvision_resnet(resnet18()), resnet18()
    replaced = {key.replace("fc.", "fc.1."): tensor for key, tensor in theirs.items()}
    load_into(network, replaced, "dropout.pth")
    assert_holds(network, randomised(resnet18()))


def test_a_head_of_two_layers_is_refused_by_their_names() -> None:
    theirs = torchvision_resnet(resnet18())
    replaced = {key.replace("fc.", "fc.3."): tensor for key, tensor in theirs.items()}
    replaced["fc.0.weight"] = torch.zeros(5, 5)
    with pytest.raises(CheckpointError, match=r"fc\.3\.weight, fc\.0\.weight all stand where"):
        load_into(resnet18(), replaced, "two.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused_with_their_tensor(value: float) -> None:
    state = randomised(resnet18())
    state["classifier.weight"].view(-1)[7] = value
    with pytest.raises(CheckpointError, match=r"nan\.pth: classifier\.weight has values that are"):
        load_into(resnet18(), state, "nan.pth")


def test_other_anchors_are_not_counted_as_classes() -> None:
    state = randomised(retinanet(3))
    for layer, rows in (("class_head", 9), ("box_head", 12)):  # three anchors a cell, not nine
        for kind in ("weight", "bias"):
            state[f"{layer}.predict.{kind}"] = state[f"{layer}.predict.{kind}"][:rows]
    with pytest.raises(CheckpointError, match="has 3 anchors at each cell, not 9"):
        load_into(retinanet(3), state, "anchors.pth")

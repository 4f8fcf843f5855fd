"""Checkpoints: written whole, read safely, recognised, refused clearly."""

import argparse
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.faster_rcnn import FasterRCNN, FasterRCNNSettings
from models.key_maps import (
    effdet,
    efficientnet_pytorch,
    find_family,
    timm_efficientnet,
    torchvision_classifiers,
    torchvision_detectors,
    torchvision_efficientnet,
)
from models.key_maps.key_map import KeyMap
from models.resnet import SETTINGS as RESNETS
from models.resnet import ResNet
from models.retinanet import RetinaNet, RetinaNetSettings
from models.variants import find_variant
from models.weights import (
    Checkpoint,
    CheckpointError,
    count_classes,
    load_backbone,
    load_checkpoint,
    load_into,
    load_start,
    save_checkpoint,
)

State = dict[str, Tensor]
Build = Callable[..., nn.Module]


def resnet18(classes: int = 4) -> ResNet:
    return ResNet(RESNETS["resnet18"], classes)


def retinanet(classes: int = 4, group_norm: bool = False) -> RetinaNet:
    """A narrow one; its heads have torchvision's four convolutions."""
    settings = RetinaNetSettings(
        "resnet18",
        channels=32,
        top="convolved C5" if group_norm else "convolved P5",
        group_norm=group_norm,
    )
    return RetinaNet(settings, classes)


def faster_rcnn(classes: int = 4) -> FasterRCNN:
    return FasterRCNN(FasterRCNNSettings("resnet18", channels=8, hidden=16), classes)


@cache
def shapes_of(variant: str) -> nn.Module:
    """A network without values, which takes no memory and no time."""
    with torch.device("meta"):
        return find_variant(variant).build(90)


def randomised(network: nn.Module) -> State:
    """Its state with every tensor different from what any network starts with."""
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.rand(tensor.shape, generator=generator)
        if tensor.is_floating_point()
        else tensor + 7
        for key, tensor in network.state_dict().items()
    }


def renamed(state: State, *replacements: tuple[str, str]) -> State:
    """``state`` with the first prefix that fits a key replaced: ours made foreign."""
    result = {}
    for key, tensor in state.items():
        ours, theirs = next(pair for pair in replacements if key.startswith(pair[0]))
        result[theirs + key.removeprefix(ours)] = tensor
    return result


def torchvision_resnet(network: ResNet) -> State:
    return renamed(randomised(network), ("backbone.", ""), ("classifier.", "fc."))


def fpn_names(levels: int, new: bool) -> list[tuple[str, str]]:
    inner = ".0." if new else "."
    return [
        (f"pyramid.{ours}.{i}.", f"backbone.fpn.{theirs}_blocks.{i}{inner}")
        for i in range(levels)
        for ours, theirs in (("lateral", "inner"), ("output", "layer"))
    ]


def torchvision_retinanet(network: RetinaNet, new: bool) -> State:
    """As its first files name them, or as later releases do."""
    names = [("backbone.", "backbone.body."), *fpn_names(3, new)]
    names += [("pyramid.", "backbone.fpn.extra_blocks.")]
    for ours, theirs, prediction in (
        ("class_head", "head.classification_head", "cls_logits"),
        ("box_head", "head.regression_head", "bbox_reg"),
    ):
        for i in range(4):
            conv = f"{theirs}.conv.{i}.0." if new else f"{theirs}.conv.{2 * i}."
            names.append((f"{ours}.convs.{i}.conv.", conv))
            names.append((f"{ours}.convs.{i}.norm.", f"{theirs}.conv.{i}.1."))
        names.append((f"{ours}.predict.", f"{theirs}.{prediction}."))
    return renamed(randomised(network), *names)


def torchvision_faster_rcnn(network: FasterRCNN, new: bool) -> State:
    return renamed(
        randomised(network),
        ("backbone.", "backbone.body."),
        *fpn_names(4, new),
        ("rpn.head.conv.", "rpn.head.conv.0.0." if new else "rpn.head.conv."),
        ("rpn.head.objectness.", "rpn.head.cls_logits."),
        ("rpn.head.deltas.", "rpn.head.bbox_pred."),
        ("region_head.logits.", "roi_heads.box_predictor.cls_score."),
        ("region_head.deltas.", "roi_heads.box_predictor.bbox_pred."),
        ("region_head.", "roi_heads.box_head."),
    )


def without_counters(state: State) -> State:
    return {key: t for key, t in state.items() if not key.endswith("num_batches_tracked")}


def assert_holds(network: nn.Module, expected: State) -> None:
    """Every tensor to the bit, but for the counters, which some files do not have."""
    state, expected = without_counters(network.state_dict()), without_counters(expected)
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"weight": torch.randn(3, 4), "count": torch.tensor(5)}
    saved = Checkpoint(state, "efficientdet_lite0", ((1, "cat"), (7, "dog")))
    save_checkpoint(saved, tmp_path / "a.pth")
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert (loaded.architecture, loaded.labels) == (saved.architecture, saved.labels)
    torch.testing.assert_close(loaded.state, state)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_a_bare_state_dict_is_read(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "bare.pth")
    loaded = load_checkpoint(tmp_path / "bare.pth")
    assert list(loaded.state) == ["weight"]
    assert loaded.architecture is loaded.labels is None


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "not a readable PyTorch checkpoint"),
        (b"not a checkpoint", "not a readable PyTorch checkpoint"),
        (pickle.dumps(Evil(), protocol=2), "not a readable PyTorch checkpoint"),
    ],
    ids=["missing", "empty", "text", "a pickle that would run code"],
)
def test_unreadable_file_is_refused_by_name(
    tmp_path: Path, content: bytes | None, words: str, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "bad.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert "must not run" not in capsys.readouterr().out


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    save_checkpoint(Checkpoint({"weight": torch.zeros(10_000)}), path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        load_checkpoint(path)


def test_what_is_not_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights": {}}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_checkpoint(tmp_path / "odd.pth")


def test_tensors_that_do_not_fit_are_listed() -> None:
    layer = torch.nn.Linear(2, 3)
    state = {"weight": torch.zeros(3, 5), "scale": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_into(layer, state, "some.pth")
    message = str(caught.value)
    for words in ("some.pth does not fit Linear", "1 missing (bias)", "1 unexpected (scale)"):
        assert words in message
    assert "weight (3, 5), not (3, 2)" in message


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_ema", "ema_state_dict"])
def test_a_state_dict_is_taken_out_of_a_trainers_file(tmp_path: Path, wrapper: str) -> None:
    content = {wrapper: {"weight": torch.ones(2)}, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "last.pth.tar")
    torch.testing.assert_close(
        load_checkpoint(tmp_path / "last.pth.tar").state, {"weight": torch.ones(2)}
    )


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [("model", "model_ema"), ("state_dict", "state_dict_ema"), ("state_dict", "ema_state_dict")],
)
@pytest.mark.parametrize("averaged_first", [False, True])
def test_averaged_weights_are_taken_where_a_file_has_both(
    tmp_path: Path, plain: str, averaged: str, averaged_first: bool
) -> None:
    content = {plain: {"weight": torch.zeros(2)}, averaged: {"weight": torch.ones(2)}}
    if averaged_first:
        content = dict(reversed(content.items()))
    torch.save(content, tmp_path / "both.pth")
    assert load_checkpoint(tmp_path / "both.pth").state["weight"].tolist() == [1, 1]


def test_plain_weights_are_taken_where_none_were_averaged(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.ones(2)}, "model_ema": None}, tmp_path / "a.pth")
    assert load_checkpoint(tmp_path / "a.pth").state["weight"].tolist() == [1, 1]


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "model.module."])
def test_what_wrappers_put_before_every_name_is_taken_off(tmp_path: Path, prefix: str) -> None:
    state = {prefix + "fc.weight": torch.ones(2), prefix + "fc.bias": torch.zeros(2)}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == ["fc.weight", "fc.bias"]


def test_a_prefix_that_only_some_names_have_belongs_to_them(tmp_path: Path) -> None:
    state = {"model.weight": torch.ones(2), "scale": torch.zeros(2)}
    torch.save(state, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == ["model.weight", "scale"]


def test_bookkeeping_of_averages_and_training_benches_is_left_out(tmp_path: Path) -> None:
    averaged = {"n_averaged": torch.tensor(9), "module.weight": torch.ones(2)}
    torch.save({"model_ema": averaged}, tmp_path / "torchvision.pth")
    assert list(load_checkpoint(tmp_path / "torchvision.pth").state) == ["weight"]
    bench = {
        "model.weight": torch.ones(2),
        "anchors.boxes": torch.zeros(5, 4),
        "anchor_labeler.anchors.boxes": torch.zeros(5, 4),
    }
    torch.save({"state_dict": bench}, tmp_path / "effdet.pth")
    assert list(load_checkpoint(tmp_path / "effdet.pth").state) == ["weight"]


@pytest.mark.parametrize(
    "content",
    [{"n_averaged": torch.tensor(9)}, {0: torch.zeros(2)}, {}, [torch.zeros(2)], None],
    ids=["bookkeeping only", "numbered tensors", "an empty mapping", "a list", "nothing"],
)
def test_a_file_without_named_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_checkpoint(tmp_path / "odd.pth")


def test_what_torchvisions_training_scripts_write_is_read(tmp_path: Path) -> None:
    content = {
        "model": {"weight": torch.ones(2)},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{}]},
        "lr_scheduler": {"last_epoch": 25, "milestones": {16: 1}},
        "args": argparse.Namespace(lr=0.02, model="resnet18", resume=None, lr_steps=[16, 22]),
        "epoch": 25,
    }
    torch.save(content, tmp_path / "model_25.pth")
    assert list(load_checkpoint(tmp_path / "model_25.pth").state) == ["weight"]


def test_code_hidden_among_a_training_scripts_arguments_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    content = {"model": {"weight": torch.ones(2)}, "args": argparse.Namespace(name=Evil())}
    torch.save(content, tmp_path / "model_25.pth")
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        load_checkpoint(tmp_path / "model_25.pth")
    assert "must not run" not in capsys.readouterr().out


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "network.pth")
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        load_checkpoint(tmp_path / "network.pth")


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    state = {"module.weight": torch.randn(3, 4), "module.count": torch.tensor(5)}
    save_file(state, tmp_path / "a.safetensors")
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    torch.testing.assert_close(
        loaded.state, {"weight": state["module.weight"], "count": state["module.count"]}
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "not a readable PyTorch checkpoint"),
        (b"\xff" * 100, "not a readable PyTorch checkpoint"),
        (pickle.dumps(Evil(), protocol=2), "not a readable PyTorch checkpoint"),
    ],
    ids=["missing", "empty", "noise", "a pickle"],
)
def test_an_unreadable_safetensors_file_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("network", [resnet18, retinanet, faster_rcnn])
def test_our_own_names_are_loaded_as_they_are(network: Build) -> None:
    state, fresh = randomised(network()), network()
    recognised = load_into(fresh, state, "best.pth")
    assert recognised.family == "Boxport"
    assert_holds(fresh, state)


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "vgg16",
        "vgg16_bn",
        "efficientnet_b0",
        "efficientnet_lite0",
        "efficientdet_lite0",
        "retinanet_resnet50_fpn",
        "fasterrcnn_resnet50_fpn",
        "resnet18+bilinear",
    ],
)
def test_our_own_names_are_of_no_foreign_family(name: str) -> None:
    assert find_family(list(shapes_of(name).state_dict())) is None


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


TORCHVISION_RESNET = torchvision_classifiers.RESNET
TORCHVISION_VGG = torchvision_classifiers.VGG
TORCHVISION_RETINANET = torchvision_detectors.RETINANET
TORCHVISION_FASTER_RCNN = torchvision_detectors.FASTER_RCNN


@pytest.mark.parametrize(
    ("family", "variant", "theirs", "ours"),
    [
        (TORCHVISION_RESNET, "resnet50", "conv1.weight", "backbone.conv1.weight"),
        (
            TORCHVISION_RESNET,
            "resnet50",
            "layer2.0.downsample.1.running_mean",
            "backbone.layer2.0.downsample.1.running_mean",
        ),
        (TORCHVISION_RESNET, "resnet50", "fc.weight", "classifier.weight"),
        (TORCHVISION_VGG, "vgg16", "features.28.bias", "backbone.features.28.bias"),
        (TORCHVISION_VGG, "vgg16", "classifier.6.weight", "classifier.6.weight"),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "backbone.body.layer1.0.bn3.weight",
            "backbone.layer1.0.bn3.weight",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "backbone.fpn.inner_blocks.2.weight",
            "pyramid.lateral.2.weight",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "backbone.fpn.layer_blocks.0.0.bias",
            "pyramid.output.0.bias",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "backbone.fpn.extra_blocks.p7.weight",
            "pyramid.p7.weight",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "head.classification_head.conv.2.weight",
            "class_head.convs.1.conv.weight",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "head.regression_head.conv.6.bias",
            "box_head.convs.3.conv.bias",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "head.regression_head.conv.2.0.bias",
            "box_head.convs.2.conv.bias",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn_v2",
            "head.classification_head.conv.3.1.bias",
            "class_head.convs.3.norm.bias",
        ),
        (
            TORCHVISION_RETINANET,
            "retinanet_resnet50_fpn",
            "head.classification_head.cls_logits.bias",
            "class_head.predict.bias",
        ),
        (
            TORCHVISION_FASTER_RCNN,
            "fasterrcnn_resnet50_fpn",
            "rpn.head.conv.0.0.bias",
            "rpn.head.conv.bias",
        ),
        (
            TORCHVISION_FASTER_RCNN,
            "fasterrcnn_resnet50_fpn",
            "rpn.head.bbox_pred.weight",
            "rpn.head.deltas.weight",
        ),
        (
            TORCHVISION_FASTER_RCNN,
            "fasterrcnn_resnet50_fpn",
            "roi_heads.box_head.fc6.weight",
            "region_head.fc6.weight",
        ),
        (
            torchvision_efficientnet.KEYS,
            "efficientnet_b0",
            "features.1.0.block.1.fc1.weight",
            "backbone.stages.0.0.squeeze.reduce.weight",
        ),
        (
            torchvision_efficientnet.KEYS,
            "efficientnet_b0",
            "features.1.0.block.2.1.running_var",
            "backbone.stages.0.0.project.norm.running_var",
        ),
        (
            torchvision_efficientnet.KEYS,
            "efficientnet_b0",
            "features.7.0.block.2.fc2.bias",
            "backbone.stages.6.0.squeeze.expand.bias",
        ),
        (
            torchvision_efficientnet.KEYS,
            "efficientnet_b0",
            "features.3.1.block.0.0.weight",
            "backbone.stages.2.1.expand.conv.weight",
        ),
        (
            torchvision_efficientnet.KEYS,
            "efficientnet_b0",
            "features.8.1.weight",
            "head.norm.weight",
        ),
        (
            torchvision_efficientnet.KEYS,
            "efficientnet_b0",
            "classifier.1.bias",
            "classifier.bias",
        ),
        (
            timm_efficientnet.KEYS,
            "tf_efficientnet_b0",
            "blocks.0.0.conv_pw.weight",
            "backbone.stages.0.0.project.conv.weight",
        ),
        (
            timm_efficientnet.KEYS,
            "tf_efficientnet_b0",
            "blocks.1.1.conv_pw.weight",
            "backbone.stages.1.1.expand.conv.weight",
        ),
        (
            timm_efficientnet.KEYS,
            "tf_efficientnet_b0",
            "blocks.4.2.bn2.running_mean",
            "backbone.stages.4.2.depthwise.norm.running_mean",
        ),
        (
            timm_efficientnet.KEYS,
            "tf_efficientnet_b0",
            "blocks.4.2.se.conv_expand.bias",
            "backbone.stages.4.2.squeeze.expand.bias",
        ),
        (timm_efficientnet.KEYS, "tf_efficientnet_b0", "bn1.weight", "backbone.stem.norm.weight"),
        (timm_efficientnet.KEYS, "tf_efficientnet_b0", "bn2.weight", "head.norm.weight"),
        (
            efficientnet_pytorch.KEYS,
            "efficientnet_lite0",
            "_blocks.3._bn0.weight",
            "backbone.stages.2.0.expand.norm.weight",
        ),
        (
            efficientnet_pytorch.KEYS,
            "efficientnet_b0",
            "_blocks.15._se_reduce.bias",
            "backbone.stages.6.0.squeeze.reduce.bias",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "backbone.blocks.6.0.conv_pwl.weight",
            "backbone.stages.6.0.project.conv.weight",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "fpn.resample.3.conv.bn.bias",
            "pyramid.project_extra.norm.bias",
        ),
        # nodes 0 to 3 are P6 down to P3, 4 to 7 P4 up to P7
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "fpn.cell.1.fnode.0.combine.edge_weights",
            "pyramid.cells.1.top_down.3.fusion.weights",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "fpn.cell.2.fnode.3.after_combine.conv.conv_dw.weight",
            "pyramid.cells.2.top_down.0.conv.depthwise.weight",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "fpn.cell.0.fnode.7.after_combine.conv.bn.weight",
            "pyramid.cells.0.bottom_up.3.norm.weight",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "fpn.cell.0.fnode.1.combine.resample.2.conv.conv.weight",
            "pyramid.cells.0.down_projections.2.conv.weight",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "fpn.cell.0.fnode.4.combine.resample.1.conv.bn.running_var",
            "pyramid.cells.0.up_projections.0.norm.running_var",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d7x",  # six levels: nodes 0 to 4 go down
            "fpn.cell.0.fnode.4.after_combine.conv.conv_pw.bias",
            "pyramid.cells.0.top_down.0.conv.pointwise.bias",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "box_net.bn_rep.2.4.bn.running_mean",
            "box_head.norms.2.4.running_mean",
        ),
        (
            effdet.KEYS,
            "tf_efficientdet_d0",
            "class_net.predict.conv_pw.bias",
            "class_head.predict.pointwise.bias",
        ),
    ],
    ids=lambda value: value.replace("/", "_") if isinstance(value, str) else "",
)
def test_a_foreign_name_becomes_ours(family: KeyMap, variant: str, theirs: str, ours: str) -> None:
    network = shapes_of(variant)
    assert family.rename(network, theirs) == ours
    assert ours in network.state_dict()


@pytest.mark.parametrize(
    ("family", "variant"),
    [
        (timm_efficientnet.KEYS, "tf_efficientnet_b0"),
        (torchvision_efficientnet.KEYS, "efficientnet_b0"),
        (efficientnet_pytorch.KEYS, "efficientnet_lite0"),
        (effdet.KEYS, "tf_efficientdet_d0"),
        (TORCHVISION_FASTER_RCNN, "fasterrcnn_resnet50_fpn"),
        (TORCHVISION_RETINANET, "retinanet_resnet50_fpn"),
        (TORCHVISION_RESNET, "resnet18"),
        (TORCHVISION_VGG, "vgg11"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_family_is_known_by_its_mark_which_is_a_tensor_of_ours(
    family: KeyMap, variant: str
) -> None:
    assert find_family(["a", family.mark, "z"]) is family
    network = shapes_of(variant)
    assert family.rename(network, family.mark) in network.state_dict()


def test_names_of_nobody_are_of_no_family() -> None:
    assert find_family(["weight", "bias"]) is None


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
    assert "starts anew" in str(recognised)


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

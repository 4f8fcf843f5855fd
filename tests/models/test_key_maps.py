"""Others' names of tensors become ours."""

import pytest

from models.key_maps import (
    effdet,
    efficientnet_pytorch,
    find_family,
    timm_efficientnet,
    torchvision,
    transformers_resnet,
)
from models.key_maps.key_map import KeyMap

from .checkpoints import shapes_of


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


TORCHVISION_RESNET = torchvision.RESNET
TORCHVISION_VGG = torchvision.VGG
TORCHVISION_RETINANET = torchvision.RETINANET
TORCHVISION_FASTER_RCNN = torchvision.FASTER_RCNN


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
        (
            transformers_resnet.KEYS,
            "resnet50",
            "resnet.embedder.embedder.normalization.running_var",
            "backbone.bn1.running_var",
        ),
        (
            transformers_resnet.KEYS,
            "resnet50",
            "resnet.encoder.stages.1.layers.3.layer.2.convolution.weight",
            "backbone.layer2.3.conv3.weight",
        ),
        (
            transformers_resnet.KEYS,
            "resnet50",
            "resnet.encoder.stages.0.layers.0.shortcut.normalization.bias",
            "backbone.layer1.0.downsample.1.bias",
        ),
        (transformers_resnet.KEYS, "resnet50", "classifier.1.bias", "classifier.bias"),
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
            torchvision.EFFICIENTNET,
            "efficientnet_b0",
            "features.1.0.block.1.fc1.weight",
            "backbone.stages.0.0.squeeze.reduce.weight",
        ),
        (
            torchvision.EFFICIENTNET,
            "efficientnet_b0",
            "features.1.0.block.2.1.running_var",
            "backbone.stages.0.0.project.norm.running_var",
        ),
        (
            torchvision.EFFICIENTNET,
            "efficientnet_b0",
            "features.7.0.block.2.fc2.bias",
            "backbone.stages.6.0.squeeze.expand.bias",
        ),
        (
            torchvision.EFFICIENTNET,
            "efficientnet_b0",
            "features.3.1.block.0.0.weight",
            "backbone.stages.2.1.expand.conv.weight",
        ),
        (
            torchvision.EFFICIENTNET,
            "efficientnet_b0",
            "features.8.1.weight",
            "head.norm.weight",
        ),
        (
            torchvision.EFFICIENTNET,
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
        (torchvision.EFFICIENTNET, "efficientnet_b0"),
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

"""torchvision's classifiers, whose layers ours are named after, and detectors.

The detectors have two generations of names: the published files carry the older ones, which number
the heads' convolutions with the activations between them, and which later releases renamed on
loading.
"""

from models.key_maps.key_map import KeyMap, Rule

RESNET = KeyMap(
    name="torchvision ResNet",
    mark="layer1.0.conv1.weight",
    # a new head is often Sequential(Dropout, Linear)
    rules=((r"^(conv1|bn1|layer\d)\.", r"backbone.\1."), (r"^fc\.(\d+\.)?", "classifier.")),
)
VGG = KeyMap(
    name="torchvision VGG",
    mark="features.0.weight",
    rules=((r"^features\.", "backbone.features."),),
)
# features.0 is the stem, 1 to 7 are the stages, 8 the head
EFFICIENTNET = KeyMap(
    name="torchvision EfficientNet",
    mark="features.1.0.block.0.0.weight",
    rules=(
        (r"^features\.0\.", "backbone.stem."),
        (r"^features\.8\.", "head."),
        (r"^classifier\.1\.", "classifier."),
        # the first stage's blocks have no expansion
        (r"^features\.1\.(\d+)\.block\.0\.", r"backbone.stages.0.\1.depthwise."),
        (r"^features\.1\.(\d+)\.block\.1\.", r"backbone.stages.0.\1.squeeze."),
        (r"^features\.1\.(\d+)\.block\.2\.", r"backbone.stages.0.\1.project."),
        (r"^features\.(\d+)\.", lambda match: f"backbone.stages.{int(match[1]) - 1}."),
        (r"\.block\.0\.", ".expand."),
        (r"\.block\.1\.", ".depthwise."),
        (r"\.block\.2\.", ".squeeze."),
        (r"\.block\.3\.", ".project."),
        (r"\.fc1\.", ".reduce."),
        (r"\.fc2\.", ".expand."),
        (r"(stem|head|expand|depthwise|project)\.0\.(weight|bias)$", r"\1.conv.\2"),
        (r"(stem|head|expand|depthwise|project)\.1\.", r"\1.norm."),
    ),
)

FPN_RULES: tuple[Rule, ...] = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)(\.0)?\.(weight|bias)$", r"pyramid.lateral.\1.\3"),
    (r"^backbone\.fpn\.layer_blocks\.(\d)(\.0)?\.(weight|bias)$", r"pyramid.output.\1.\3"),
    (r"^backbone\.fpn\.extra_blocks\.", "pyramid."),
)

RETINANET = KeyMap(
    name="torchvision RetinaNet",
    mark="head.classification_head.cls_logits.weight",
    rules=(
        *FPN_RULES,
        (r"^head\.classification_head\.(cls_logits\.)?", lambda m: _head("class_head.", m[1])),
        (r"^head\.regression_head\.(bbox_reg\.)?", lambda m: _head("box_head.", m[1])),
        (
            r"^(class_head|box_head)\.conv\.(\d)\.(weight|bias)$",
            lambda m: f"{m[1]}.convs.{int(m[2]) // 2}.conv.{m[3]}",
        ),
        (r"^(class_head|box_head)\.conv\.(\d)\.0\.", r"\1.convs.\2.conv."),
        (r"^(class_head|box_head)\.conv\.(\d)\.1\.", r"\1.convs.\2.norm."),
    ),
)

FASTER_RCNN = KeyMap(
    name="torchvision Faster R-CNN",
    mark="roi_heads.box_predictor.cls_score.weight",
    rules=(
        *FPN_RULES,
        (r"^rpn\.head\.conv(\.0\.0)?\.(weight|bias)$", r"rpn.head.conv.\2"),
        (r"^rpn\.head\.cls_logits\.", "rpn.head.objectness."),
        (r"^rpn\.head\.bbox_pred\.", "rpn.head.deltas."),
        (r"^roi_heads\.box_head\.", "region_head."),
        (r"^roi_heads\.box_predictor\.cls_score\.", "region_head.logits."),
        (r"^roi_heads\.box_predictor\.bbox_pred\.", "region_head.deltas."),
    ),
)


def _head(ours: str, prediction: str | None) -> str:
    return ours + ("predict." if prediction else "")

"""torchvision's RetinaNet and Faster R-CNN.

Each has two generations of names: the published files carry the older ones, which number the heads'
convolutions with the activations between them, and which later releases renamed on loading.
"""

from models.key_maps.key_map import KeyMap, Rule

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

"""timm's EfficientNet and EfficientNet-Lite, which effdet's detectors hold as their backbone."""

from models.key_maps.key_map import KeyMap, Rule

BACKBONE_RULES: tuple[Rule, ...] = (
    (r"^(backbone\.)?conv_stem\.", "backbone.stem.conv."),
    (r"^(backbone\.)?bn1\.", "backbone.stem.norm."),
    # the first stage's blocks have no expansion
    (r"^(backbone\.)?blocks\.0\.(\d+)\.conv_dw\.", r"backbone.stages.0.\2.depthwise.conv."),
    (r"^(backbone\.)?blocks\.0\.(\d+)\.bn1\.", r"backbone.stages.0.\2.depthwise.norm."),
    (r"^(backbone\.)?blocks\.0\.(\d+)\.conv_pw\.", r"backbone.stages.0.\2.project.conv."),
    (r"^(backbone\.)?blocks\.0\.(\d+)\.bn2\.", r"backbone.stages.0.\2.project.norm."),
    (r"^(backbone\.)?blocks\.", "backbone.stages."),
    (r"^(backbone\.stages\..*)\.conv_pw\.", r"\1.expand.conv."),
    (r"^(backbone\.stages\..*)\.bn1\.", r"\1.expand.norm."),
    (r"^(backbone\.stages\..*)\.conv_dw\.", r"\1.depthwise.conv."),
    (r"^(backbone\.stages\..*)\.bn2\.", r"\1.depthwise.norm."),
    (r"^(backbone\.stages\..*)\.conv_pwl\.", r"\1.project.conv."),
    (r"^(backbone\.stages\..*)\.bn3\.", r"\1.project.norm."),
    (r"\.se\.conv_reduce\.", ".squeeze.reduce."),
    (r"\.se\.conv_expand\.", ".squeeze.expand."),
)

KEYS = KeyMap(
    name="timm EfficientNet",
    mark="conv_stem.weight",
    rules=(*BACKBONE_RULES, (r"^conv_head\.", "head.conv."), (r"^bn2\.", "head.norm.")),
)

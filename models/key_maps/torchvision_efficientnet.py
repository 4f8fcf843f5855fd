"""torchvision's EfficientNet: features.0 the stem, 1 to 7 the stages, 8 the head."""

from models.key_maps.key_map import KeyMap

KEYS = KeyMap(
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

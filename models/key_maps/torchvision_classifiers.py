"""torchvision's ResNet and VGG, whose layers ours are named after."""

from models.key_maps.key_map import KeyMap

RESNET = KeyMap(
    name="torchvision ResNet",
    mark="layer1.0.conv1.weight",
    rules=((r"^(conv1|bn1|layer\d)\.", r"backbone.\1."), (r"^fc\.", "classifier.")),
)
VGG = KeyMap(
    name="torchvision VGG",
    mark="features.0.weight",
    rules=((r"^features\.", "backbone.features."),),
)

"""Names that public checkpoints give their tensors, as ours: one file for each publisher.

To add a family: write its `KeyMap`, and list it in `FAMILIES`.
"""

from models.key_maps import (
    effdet,
    efficientnet_pytorch,
    timm_efficientnet,
    torchvision,
    transformers_resnet,
)
from models.key_maps.key_map import KeyMap

# The first whose mark is found is taken, so a detector comes before the classifier inside it.
FAMILIES: tuple[KeyMap, ...] = (
    effdet.KEYS,
    torchvision.FASTER_RCNN,
    torchvision.RETINANET,
    torchvision.EFFICIENTNET,
    timm_efficientnet.KEYS,
    efficientnet_pytorch.KEYS,
    transformers_resnet.KEYS,
    torchvision.RESNET,
    torchvision.VGG,
)


def find_family(keys: list[str]) -> KeyMap | None:
    """The family whose mark is among ``keys``, or None if they are ours or unknown."""
    present = set(keys)
    return next((family for family in FAMILIES if family.mark in present), None)

"""Architectures with the same tensors that compute otherwise: as TensorFlow does, or as PyTorch.

timm's tf_efficientnet_b0 pads as TensorFlow does and its efficientnet_b0 does not, and no tensor
shows which of the two a file is of.
"""

from pathlib import Path

from export.errors import ExportError
from export.settings import Settings, SettingsError
from models.checkpoint_file import CheckpointError
from models.checkpoints import Checkpoint
from models.variants import sibling_of
from models.weights import Recognised


def check_convention(
    name: str, stated: str | None, settings: Settings, recognised: Recognised, weights: Path
) -> None:
    """Raise CheckpointError or SettingsError where it is known that the weights are of the other.

    stated: the architecture as the file has it, see `stated_architecture`.
    """
    other = sibling_of(name)
    if name.startswith("tf_") and recognised.family.startswith("torchvision"):
        raise CheckpointError(
            f"{weights} has torchvision's names, and {name} computes as TensorFlow does: export it"
            f" as {name.removeprefix('tf_')}"
        )
    if other is None:
        return
    if stated == other:
        raise CheckpointError(
            f"{weights} is stated to be of {other}, which has the tensors of {name} and another"
            f" padding; export it as {other}"
        )
    if settings.padding is not None and settings.padding != padding_of(name):
        raise SettingsError(f"padding {settings.padding} is that of {other}, not of {name}")


def require_convention(
    name: str, stated: str | None, settings: Settings, recognised: Recognised, weights: Path
) -> None:
    """Raise ExportError if nothing says which of the two the weights are of: a wrong one is not
    noticed but in its answers."""
    other = sibling_of(name)
    foreign = recognised.family.startswith(("timm", "effdet"))
    if other is not None and foreign and not (settings.padding or stated):
        raise ExportError(
            f"{weights} does not say whether it is of {name} or of {other}, which have the same"
            f" tensors: prove it with --reference or --expect, or say --padding {padding_of(name)}"
            f" for {name}"
        )


def padding_of(name: str) -> str:
    """Of an architecture that has a `sibling_of` the other kind."""
    return "same" if name.startswith("tf_") else "symmetric"


def stated_architecture(name: str, checkpoint: Checkpoint, weights: Path) -> str | None:
    """Which of the architecture and its sibling the checkpoint states, or its file's name has in
    it."""
    names = (name, sibling_of(name))
    stated = checkpoint.architecture
    if stated is None and "architecture" in checkpoint.stated:
        stated = checkpoint.stated["architecture"].value
    if stated is not None and (plain := stated.rpartition("/")[2].partition(".")[0]) in names:
        return plain
    by_length = sorted(filter(None, names), key=len, reverse=True)
    return next((one for one in by_length if one in weights.stem), None)

"""timm's plain models and its ported ones have the same tensors: which they are has to be said."""

from pathlib import Path

import pytest
import torch

from export.errors import ExportError
from export.settings import Settings, SettingsError
from export.trained_model import TrainedModel, load_model
from models.checkpoint_file import CheckpointError
from service.manifest import Label
from tests.fidelity.oracles import timm

LABELS = tuple(Label(id=i, name=f"class {i}") for i in range(3))
PLAIN, PORTED = "efficientnet_b0", "tf_efficientnet_b0"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return timm.create_model(PLAIN, num_classes=3).state_dict()


def load(content: object, path: Path, name: str, settings: Settings | None = None) -> TrainedModel:
    torch.save(content, path)
    model = load_model(name, path, settings or Settings(), LABELS)
    model.require_convention()
    return model


@pytest.mark.parametrize("name", [PLAIN, PORTED])
def test_a_file_that_does_not_say_is_asked_about(
    state: dict[str, torch.Tensor], tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        ExportError, match=r"does not say whether it is of .* say --padding same|sym"
    ):
        load(state, tmp_path / "best.pth", name)
    padding = "same" if name == PORTED else "symmetric"
    told = load(state, tmp_path / "best.pth", name, Settings(padding=padding))
    assert told.recognised.family == "timm EfficientNet"
    wrong = "symmetric" if name == PORTED else "same"
    with pytest.raises(SettingsError, match=f"padding {wrong} is that of"):
        load(state, tmp_path / "best.pth", name, Settings(padding=wrong))


def test_what_the_file_says_decides(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    content = {"state_dict": state, "arch": PORTED}
    rows = load(content, tmp_path / "best.pth", PORTED).rows()
    assert ("architecture", PORTED, "given") in rows
    with pytest.raises(CheckpointError, match=f"stated to be of {PORTED}.*; export it as {PORTED}"):
        load(content, tmp_path / "best.pth", PLAIN)


def test_the_files_name_says_it_too(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    load(state, tmp_path / "tf_efficientnet_b0_aa-827b6e33.pth", PORTED)
    load(state, tmp_path / "efficientnet_b0_ra-3dd342df.pth", PLAIN)
    with pytest.raises(CheckpointError, match=f"export it as {PORTED}"):
        load(state, tmp_path / "tf_efficientnet_b0_aa-827b6e33.pth", PLAIN)

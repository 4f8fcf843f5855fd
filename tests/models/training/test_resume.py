"""A run with dropout goes on after an interruption bit by bit, in the middle of an epoch too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.progress import Progress
from torch import Tensor, nn

from models.training import loop
from models.training.annotations.content import ClassFolders, LabelledPhoto
from models.training.classification_task import ClassificationTask
from models.training.devices import Process
from models.training.loop import Trainer
from models.training.recipe import RECIPES
from models.variants import at_size, find_variant

CPU = Process(torch.device("cpu"))


class Interrupted(Exception):
    pass


def trainer(data: ClassFolders, output: Path) -> Trainer:
    output.mkdir(exist_ok=True)
    torch.manual_seed(0)
    variant = at_size(find_variant("resnet18"), 32)
    network = variant.build(2)
    network.classifier = nn.Sequential(nn.Dropout(0.5), network.classifier)
    changes = {"epochs": 1, "batch_size": 2, "precision": "fp32", "deterministic": True}
    recipe = replace(RECIPES["small"], **changes)
    task = ClassificationTask(variant.input, recipe, CPU, data, data)
    return Trainer(network, "resnet18", task, recipe, CPU, output)


def weights(run: Trainer) -> dict[str, Tensor]:
    with Progress(disable=True) as progress:
        run.fit(progress)
    return {name: value.clone() for name, value in run.network.state_dict().items()}


def test_dropout_goes_on_as_it_would_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1)
    rng = np.random.default_rng(0)
    photos = []
    for label in (0, 1, 0, 1, 0, 1):
        path = tmp_path / f"{len(photos)}.png"
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
        photos.append(LabelledPhoto(path, label))
    data = ClassFolders(tuple(photos), ((0, "a"), (1, "b")))
    whole = weights(trainer(data, tmp_path / "whole"))

    save = Trainer._save

    def save_and_stop(self: Trainer) -> None:
        save(self)
        if self.position.batch == 2:
            raise Interrupted

    stopped = trainer(data, tmp_path / "two")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save", save_and_stop)
        with pytest.raises(Interrupted):
            weights(stopped)
    torch.manual_seed(99)
    resumed = weights(trainer(data, tmp_path / "two"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)

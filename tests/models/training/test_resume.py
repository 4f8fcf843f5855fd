"""A run with dropout goes on after an interruption bit by bit, in the middle of an epoch too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.progress import Progress
from torch import Tensor, distributed, multiprocessing, nn

from models.datasets.content import ClassFolders, LabelledPhoto
from models.training import loop
from models.training.classification_task import ClassificationTask
from models.training.devices import Process
from models.training.loop import Trainer
from models.training.recipe import RECIPES
from models.variants import at_size, find_variant

CPU = Process(torch.device("cpu"))
RANKS = 2


class Interrupted(Exception):
    pass


def trainer(data: ClassFolders, output: Path, process: Process = CPU) -> Trainer:
    output.mkdir(exist_ok=True)
    torch.manual_seed(0)
    variant = at_size(find_variant("resnet18"), 32)
    network = variant.build(2)
    network.classifier = nn.Sequential(nn.Dropout(0.5), network.classifier)
    batch = 2 * process.world_size
    changes = {"epochs": 1, "batch_size": batch, "precision": "fp32", "deterministic": True}
    recipe = replace(RECIPES["small"], **changes)
    task = ClassificationTask(variant.input, recipe, process, data, data)
    torch.manual_seed(process.rank)
    return Trainer(network, "resnet18", task, recipe, process, output)


def weights(run: Trainer) -> dict[str, Tensor]:
    with Progress(disable=True) as progress:
        run.fit(progress)
    return {name: value.clone() for name, value in run.network.state_dict().items()}


def interrupted_and_resumed(
    data: ClassFolders, folder: Path, process: Process = CPU
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a run, and of one that ended in the middle of its epoch and went on."""
    save = Trainer._save

    def save_and_stop(self: Trainer) -> None:
        save(self)
        if self.position.batch == 2:
            raise Interrupted

    whole = weights(trainer(data, folder / "whole", process))
    stopped = trainer(data, folder / "two", process)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SAVE_SECONDS", -1)
        patch.setattr(Trainer, "_save", save_and_stop)
        with pytest.raises(Interrupted):
            weights(stopped)
    process.barrier()
    resumed = trainer(data, folder / "two", process)
    assert resumed.position.batch == 2
    return whole, weights(resumed)


@pytest.fixture
def data(tmp_path: Path) -> ClassFolders:
    rng = np.random.default_rng(0)
    photos = []
    for label in (0, 1) * 6:
        path = tmp_path / f"{len(photos)}.png"
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
        photos.append(LabelledPhoto(path, label))
    return ClassFolders(tuple(photos), ((0, "a"), (1, "b")))


def test_dropout_goes_on_as_it_would_have(data: ClassFolders, tmp_path: Path) -> None:
    whole, resumed = interrupted_and_resumed(data, tmp_path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def run_rank(rank: int, data: ClassFolders, folder: Path) -> None:
    """One of the processes of a run, whose dropout draws from a generator of its own."""
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=RANKS)
    process = Process(torch.device("cpu"), rank, RANKS)
    whole, resumed = interrupted_and_resumed(data, folder, process)
    torch.save((whole, resumed), folder / f"rank{rank}.pth")
    distributed.destroy_process_group()


@pytest.mark.full
def test_each_process_goes_on_with_its_own_generator(data: ClassFolders, tmp_path: Path) -> None:
    multiprocessing.spawn(run_rank, (data, tmp_path), nprocs=RANKS)
    states = torch.load(tmp_path / "two" / "state.pth")["random"]
    assert not torch.equal(states[0]["cpu"], states[1]["cpu"])
    for rank in range(RANKS):
        whole, resumed = torch.load(tmp_path / f"rank{rank}.pth")
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)

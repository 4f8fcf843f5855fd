"""The parts of a run: its batches, its optimizer, its log, its state."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch import distributed

from models.checkpoint_file import CheckpointError
from models.training.batches import EpochBatches
from models.training.devices import Process, current_process
from models.training.optimizers import build_optimizer
from models.training.recipe import Recipe, TrainingError
from models.training.run_log import RunLog, read_rows
from models.training.state import Position, TrainingState, load_state, save_state
from models.variants import VARIANTS


@pytest.mark.parametrize(
    ("photos", "batch_size", "batches"),
    [(11, 3, 4), (12, 3, 4), (40, 32, 2), (31, 32, 1), (2, 32, 1)],
)
def test_an_epoch_shows_every_photo_and_is_repeatable(
    photos: int, batch_size: int, batches: int
) -> None:
    sampler = EpochBatches(photos, batch_size, seed=5)
    first = list(sampler)
    assert [len(batch) for batch in first] == [batch_size] * len(sampler) == [batch_size] * batches
    indices = [index for batch in first for index in batch]
    assert len(set(indices)) == len(indices) == photos + sampler.repeated  # no view comes twice
    assert sorted(indices[:photos]) == list(range(photos))
    shown = [sum(index % photos == photo for index in indices) for photo in range(photos)]
    assert max(shown) - min(shown) <= 1
    assert list(sampler) == first
    sampler.start(epoch=1)
    assert list(sampler) != first


def test_an_epoch_goes_on_where_it_stopped() -> None:
    batches = EpochBatches(photos=11, batch_size=3, seed=5)
    batches.start(4)
    whole = list(batches)
    batches.start(4, first=2)
    assert list(batches) == whole[2:]


def test_processes_share_each_batch() -> None:
    whole = list(EpochBatches(photos=8, batch_size=4, seed=0))
    shares = [list(EpochBatches(8, 4, 0, rank, processes=2)) for rank in range(2)]
    for batch, one, other in zip(whole, *shares, strict=True):
        assert sorted(one + other) == sorted(batch)
        assert len(one) == len(other) == 2


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    with pytest.raises(TrainingError, match="--batch-size must be a multiple of 3"):
        EpochBatches(photos=8, batch_size=4, seed=0, processes=3)


def test_norms_and_biases_do_not_decay() -> None:
    network = VARIANTS["efficientdet_lite0"].build(3)
    recipe = Recipe(backbone_rate=0.2, weight_decay=4e-5, batch_size=128)
    optimizer = build_optimizer(network, recipe)
    by_id = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(by_id) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        group = by_id[id(parameter)]
        is_norm_or_bias = ".norm" in name or name.endswith("bias")
        assert group["weight_decay"] == (0.0 if is_norm_or_bias else 4e-5), name
        expected = 0.016 if name.startswith("backbone.") else 0.08
        assert group["lr"] == pytest.approx(expected)
        assert group["momentum"] == 0.9
        assert group["nesterov"]


def test_log_keeps_the_rows_of_epochs_that_are_done(tmp_path: Path) -> None:
    with closing(RunLog(tmp_path, epochs_done=0)) as log:
        log.add({"epoch": 1.0, "class_loss": 0.5})
        log.add({"epoch": 2.0, "class_loss": 0.4, "ap": 0.1})
    with closing(RunLog(tmp_path, epochs_done=1)) as log:
        log.add({"epoch": 2.0, "class_loss": 0.3})
    assert read_rows(tmp_path / "log.csv") == [
        {"epoch": 1.0, "class_loss": 0.5},
        {"epoch": 2.0, "class_loss": 0.3},
    ]


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    recipe = Recipe(epochs=3)
    assert load_state(recipe, tmp_path) is None
    parts = {"network": {"weight": torch.randn(2, 3)}, "updates": 7}
    state = TrainingState(
        Position(1, 4), 0.5, {"loss": 2.5}, parts, [{"cpu": torch.get_rng_state()}]
    )
    save_state(state, recipe, tmp_path)
    loaded = load_state(recipe, tmp_path)
    assert loaded is not None
    assert (loaded.position, loaded.best, loaded.sums) == (state.position, 0.5, {"loss": 2.5})
    torch.testing.assert_close(loaded.parts["network"], parts["network"])
    with pytest.raises(CheckpointError, match="epochs was 3, not 5"):
        load_state(Recipe(epochs=5), tmp_path)
    (tmp_path / "state.pth").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="cannot be read; delete it"):
        load_state(recipe, tmp_path)


def test_state_of_a_gpus_generator_comes_back_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    process, seen = Process(torch.device("cuda:1")), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor(device.index))
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device: seen.append((int(state), str(device)))
    )
    state = process.random_state()
    before = torch.rand(2)
    process.set_random_state(state)
    assert seen == [(1, "cuda:1")]
    assert torch.equal(torch.rand(2), before)
    process.set_random_state({"cpu": state["cpu"]})  # of a run without a GPU
    assert len(seen) == 1


def test_counts_are_shared_among_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(torch.device("cpu"), rank=1, world_size=3)
    monkeypatch.setattr(distributed, "all_reduce", lambda total: total.fill_(12))
    assert process.mean_count(2) == 4
    monkeypatch.setattr(distributed, "all_reduce", lambda total: total.fill_(0))
    assert process.mean_count(0) == pytest.approx(1 / 3)  # all together have one


def test_processes_wait_for_an_evaluation_of_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    monkeypatch.setattr(
        distributed, "init_process_group", lambda backend, **options: given.update(options)
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert current_process("cpu") == Process(torch.device("cpu"), 1, 2)
    assert given["timeout"].total_seconds() >= 6 * 3600

"""Checkpoint files: written whole, read safely whatever wraps them, refused clearly."""

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.weights import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    load_into,
    save_checkpoint,
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"weight": torch.randn(3, 4), "count": torch.tensor(5)}
    saved = Checkpoint(state, "efficientdet_lite0", ((1, "cat"), (7, "dog")))
    save_checkpoint(saved, tmp_path / "a.pth")
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert (loaded.architecture, loaded.labels) == (saved.architecture, saved.labels)
    torch.testing.assert_close(loaded.state, state)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_a_bare_state_dict_is_read(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "bare.pth")
    loaded = load_checkpoint(tmp_path / "bare.pth")
    assert list(loaded.state) == ["weight"]
    assert loaded.architecture is loaded.labels is None


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "not a readable PyTorch checkpoint"),
        (b"not a checkpoint", "not a readable PyTorch checkpoint"),
        (pickle.dumps(Evil(), protocol=2), "not a readable PyTorch checkpoint"),
    ],
    ids=["missing", "empty", "text", "a pickle that would run code"],
)
def test_unreadable_file_is_refused_by_name(
    tmp_path: Path, content: bytes | None, words: str, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "bad.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert "must not run" not in capsys.readouterr().out


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    save_checkpoint(Checkpoint({"weight": torch.zeros(10_000)}), path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        load_checkpoint(path)


def test_what_is_not_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights": {}}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_checkpoint(tmp_path / "odd.pth")


def test_tensors_that_do_not_fit_are_listed() -> None:
    layer = torch.nn.Linear(2, 3)
    state = {"weight": torch.zeros(3, 5), "scale": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_into(layer, state, "some.pth")
    message = str(caught.value)
    for words in ("some.pth does not fit Linear", "1 missing (bias)", "1 unexpected (scale)"):
        assert words in message
    assert "weight (3, 5), not (3, 2)" in message


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_ema", "ema_state_dict"])
def test_a_state_dict_is_taken_out_of_a_trainers_file(tmp_path: Path, wrapper: str) -> None:
    content = {wrapper: {"weight": torch.ones(2)}, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "last.pth.tar")
    torch.testing.assert_close(
        load_checkpoint(tmp_path / "last.pth.tar").state, {"weight": torch.ones(2)}
    )


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [("model", "model_ema"), ("state_dict", "state_dict_ema"), ("state_dict", "ema_state_dict")],
)
@pytest.mark.parametrize("averaged_first", [False, True])
def test_averaged_weights_are_taken_where_a_file_has_both(
    tmp_path: Path, plain: str, averaged: str, averaged_first: bool
) -> None:
    content = {plain: {"weight": torch.zeros(2)}, averaged: {"weight": torch.ones(2)}}
    if averaged_first:
        content = dict(reversed(content.items()))
    torch.save(content, tmp_path / "both.pth")
    assert load_checkpoint(tmp_path / "both.pth").state["weight"].tolist() == [1, 1]


def test_plain_weights_are_taken_where_none_were_averaged(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.ones(2)}, "model_ema": None}, tmp_path / "a.pth")
    assert load_checkpoint(tmp_path / "a.pth").state["weight"].tolist() == [1, 1]


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "model.module."])
def test_what_wrappers_put_before_every_name_is_taken_off(tmp_path: Path, prefix: str) -> None:
    state = {prefix + "fc.weight": torch.ones(2), prefix + "fc.bias": torch.zeros(2)}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == ["fc.weight", "fc.bias"]


def test_a_prefix_that_only_some_names_have_belongs_to_them(tmp_path: Path) -> None:
    state = {"model.weight": torch.ones(2), "scale": torch.zeros(2)}
    torch.save(state, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == ["model.weight", "scale"]


def test_bookkeeping_of_averages_and_training_benches_is_left_out(tmp_path: Path) -> None:
    averaged = {"n_averaged": torch.tensor(9), "module.weight": torch.ones(2)}
    torch.save({"model_ema": averaged}, tmp_path / "torchvision.pth")
    assert list(load_checkpoint(tmp_path / "torchvision.pth").state) == ["weight"]
    bench = {
        "model.weight": torch.ones(2),
        "anchors.boxes": torch.zeros(5, 4),
        "anchor_labeler.anchors.boxes": torch.zeros(5, 4),
    }
    torch.save({"state_dict": bench}, tmp_path / "effdet.pth")
    assert list(load_checkpoint(tmp_path / "effdet.pth").state) == ["weight"]


@pytest.mark.parametrize(
    "content",
    [{"n_averaged": torch.tensor(9)}, {0: torch.zeros(2)}, {}, [torch.zeros(2)], None],
    ids=["bookkeeping only", "numbered tensors", "an empty mapping", "a list", "nothing"],
)
def test_a_file_without_named_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_checkpoint(tmp_path / "odd.pth")


def test_what_torchvisions_training_scripts_write_is_read(tmp_path: Path) -> None:
    content = {
        "model": {"weight": torch.ones(2)},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{}]},
        "lr_scheduler": {"last_epoch": 25, "milestones": {16: 1}},
        "args": argparse.Namespace(lr=0.02, model="resnet18", resume=None, lr_steps=[16, 22]),
        "epoch": 25,
    }
    torch.save(content, tmp_path / "model_25.pth")
    assert list(load_checkpoint(tmp_path / "model_25.pth").state) == ["weight"]


def test_code_hidden_among_a_training_scripts_arguments_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    content = {"model": {"weight": torch.ones(2)}, "args": argparse.Namespace(name=Evil())}
    torch.save(content, tmp_path / "model_25.pth")
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        load_checkpoint(tmp_path / "model_25.pth")
    assert "must not run" not in capsys.readouterr().out


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "network.pth")
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        load_checkpoint(tmp_path / "network.pth")


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    state = {"module.weight": torch.randn(3, 4), "module.count": torch.tensor(5)}
    save_file(state, tmp_path / "a.safetensors")
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    torch.testing.assert_close(
        loaded.state, {"weight": state["module.weight"], "count": state["module.count"]}
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "not a readable PyTorch checkpoint"),
        (b"\xff" * 100, "not a readable PyTorch checkpoint"),
        (pickle.dumps(Evil(), protocol=2), "not a readable PyTorch checkpoint"),
    ],
    ids=["missing", "empty", "noise", "a pickle"],
)
def test_an_unreadable_safetensors_file_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))

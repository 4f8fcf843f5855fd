"""Checkpoint files: written whole, read safely whatever wraps them, refused clearly."""

import argparse
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint_file import CheckpointError, find_weights
from models.checkpoints import (
    AVERAGED,
    PREFIXES,
    WRAPPERS,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from models.weights import load_into


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


@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "is empty"),
        (b"not a checkpoint", "is no file of weights .* begins with b'not a checkpoint'"),
        (b"\xff" * 100, "is no file of weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d", "`git lfs pull`"),
        (b"\n<!DOCTYPE html><html><title>Sign in</title></html>", "an HTML page"),
        (b"\x1f\x8b" + bytes(20), "gzipped"),
        (b"\x89HDF\r\n" + bytes(20), "HDF5"),
        (pickle.dumps([1, 2], protocol=2), "a pickle that torch.save did not write"),
        (b"\x80\x02", "is cut short or damaged"),
        (struct.pack("<Q", 9) + b'{"a": oh}' + bytes(9), "is cut short or damaged"),
    ],
    ids=[
        "missing",
        "empty",
        "text",
        "noise",
        "a Git LFS pointer",
        "a web page",
        "gzip",
        "Keras",
        "another pickle",
        "a cut pickle",
        "a damaged head",
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, zipped: bool, share: float) -> None:
    path = tmp_path / "cut.pth"
    content = {"weight": torch.zeros(10_000), "bias": torch.zeros(1000)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match="is cut short or damaged"):
        load_checkpoint(path)


def test_what_is_not_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights": {}}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="its keys are 'epoch', 'weights', and a state dict"):
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


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_state_dict_is_taken_out_of_a_trainers_file(tmp_path: Path, wrapper: str) -> None:
    content = {wrapper: {"weight": torch.ones(2)}, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "last.pth.tar")
    torch.testing.assert_close(
        load_checkpoint(tmp_path / "last.pth.tar").state, {"weight": torch.ones(2)}
    )


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [
        ("model", "model_ema"),
        ("state_dict", "state_dict_ema"),
        ("model_state_dict", "ema_state_dict"),
        ("params", "params_ema"),
        ("model", "ema"),
    ],
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


@pytest.mark.parametrize(
    "prefix",
    [*PREFIXES, "module.model.", "model.module.", "model._orig_mod.", "_orig_mod.module.net."],
)
def test_what_wrappers_put_before_every_name_is_taken_off(tmp_path: Path, prefix: str) -> None:
    state = {prefix + "fc.weight": torch.ones(2), prefix + "fc.bias": torch.zeros(2)}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize("prefix", AVERAGED)
@pytest.mark.parametrize("plain", ["model.", "online_model."])
def test_averaged_weights_are_taken_where_one_state_dict_has_both(
    tmp_path: Path, prefix: str, plain: str
) -> None:
    """As Lightning saves a module that holds its network and the average of it."""
    names = ("fc.weight", "fc.bias")
    state = {plain + name: torch.zeros(2) for name in names}
    state |= {prefix + name: torch.ones(2) for name in names} | {"f1.total": torch.zeros(1)}
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    assert {key: tensor.tolist() for key, tensor in loaded.state.items()} == {
        name: [1, 1] for name in names
    }
    assert loaded.ignored == (*(plain + name for name in names), "f1.total")


def test_what_lies_beside_the_network_is_left_out_and_told(tmp_path: Path) -> None:
    """A loss's class weights, as Lightning saves them with the network."""
    network = {"model.fc.weight": torch.ones(2), "model.fc.bias": torch.zeros(2)}
    torch.save({"state_dict": network | {"criterion.weight": torch.ones(3)}}, tmp_path / "a.ckpt")
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    assert list(loaded.state) == ["fc.weight", "fc.bias"]
    assert loaded.ignored == ("criterion.weight",)


def test_a_prefix_that_only_some_names_have_belongs_to_them(tmp_path: Path) -> None:
    state = {"model.weight": torch.ones(2), "scale": torch.zeros(2)}
    torch.save(state, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == ["model.weight", "scale"]


def test_bookkeeping_of_averages_and_training_benches_is_left_out(tmp_path: Path) -> None:
    averaged = {"n_averaged": torch.tensor(9), "module.weight": torch.ones(2)}
    torch.save({"model_ema": averaged}, tmp_path / "torchvision.pth")
    loaded = load_checkpoint(tmp_path / "torchvision.pth")
    assert (list(loaded.state), loaded.ignored) == (["weight"], ())
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
    with pytest.raises(CheckpointError, match="holds no weights"):
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


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    state = {"module.weight": torch.randn(3, 4), "module.count": torch.tensor(5)}
    save_file(state, tmp_path / "a.safetensors")
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    torch.testing.assert_close(
        loaded.state, {"weight": state["module.weight"], "count": state["module.count"]}
    )


def test_a_safetensors_file_is_read_under_any_name(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "model.bin")
    assert list(load_checkpoint(tmp_path / "model.bin").state) == ["weight"]


def test_a_folder_of_hugging_faces_is_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a folder without model\.safetensors"):
        load_checkpoint(tmp_path)
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    assert list(load_checkpoint(tmp_path).state) == ["weight"]


def test_a_folder_of_hugging_faces_is_its_file_of_weights(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"
    assert find_weights(tmp_path / "model.safetensors") == tmp_path / "model.safetensors"
    assert list(load_checkpoint(tmp_path).state) == ["weight"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"is a folder without model\.safetensors"):
        find_weights(tmp_path / "empty")

"""Checkpoints: written whole, read safely, refused clearly."""

import pickle
from pathlib import Path

import pytest
import torch

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

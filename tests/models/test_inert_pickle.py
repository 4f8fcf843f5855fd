"""Pickles of every sort give up their tensors, and nothing in them runs."""

import argparse
import builtins
import functools
import io
import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch
from torch import nn

from models.checkpoint_file import CheckpointError, read_content
from models.checkpoints import load_checkpoint
from models.inert_pickle import InertUnpickler, StandIn

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.arange(3)}


class Calls:
    """Pickled as a call of ``function``."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def small_network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 2)))
    network.register_buffer("scratch", torch.zeros(1), persistent=False)
    return network.eval()


@pytest.mark.parametrize("zipped", [True, False], ids=["zipped", "before 1.6"])
@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool],
    ids=str,
)
def test_tensors_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype, zipped: bool) -> None:
    base = (torch.arange(24) % 5).to(dtype)
    state = {
        "whole": base.clone(),
        "part of a storage": base[3:9].reshape(2, 3),
        "transposed": base.reshape(4, 6).T,
        "empty": torch.empty(0, dtype=dtype),
        "a number": base[1].clone(),
    }
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    read = read_content(tmp_path / "a.pth")
    assert isinstance(read, dict)
    for name, tensor in state.items():
        assert read[name].dtype == dtype
        assert torch.equal(read[name], tensor), name


@pytest.mark.parametrize("zipped", [True, False], ids=["zipped", "before 1.6"])
def test_a_whole_network_gives_its_state_dict(tmp_path: Path, zipped: bool) -> None:
    network = small_network()
    torch.save({"model": network}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    read = load_checkpoint(tmp_path / "a.pth").state
    torch.testing.assert_close(read, dict(network.state_dict()))


def test_torchscript_gives_its_state_dict(tmp_path: Path) -> None:
    network = small_network()[:2]
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3, 8, 8)), tmp_path / "a.pt")
    read = load_checkpoint(tmp_path / "a.pt").state
    torch.testing.assert_close(read, dict(network.state_dict()))


@pytest.mark.parametrize(
    "beside",
    [
        np.float64(0.83),
        np.arange(3),
        PosixPath("/runs/3"),
        argparse.Namespace(out=PosixPath("/runs"), best=np.float32(1)),
        functools.partial(torch.optim.AdamW, lr=1e-3),
        {1, 2},
        torch.device("cpu"),
        nn.CrossEntropyLoss(torch.ones(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_lies_beside_the_weights_is_not_in_the_way(tmp_path: Path, beside: object) -> None:
    torch.save({"state_dict": STATE, "hyper_parameters": {"x": beside}}, tmp_path / "a.ckpt")
    torch.testing.assert_close(load_checkpoint(tmp_path / "a.ckpt").state, STATE)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch ran",)),
        (subprocess.run, (["touch", "ran"],)),
        (builtins.exec, ("open('ran', 'w')",)),
        (builtins.eval, ("open('ran', 'w')",)),
        (builtins.open, ("ran", "w")),
        (os.makedirs, ("ran",)),
        (torch.load, ("ran",)),
        (torch.hub.load, ("ran", "ran")),
        (torch.storage._load_from_bytes, (b"ran",)),
        (builtins.getattr, ("", "join")),
        (builtins.__import__, ("antigravity",)),
        (pickle.loads, (pickle.dumps(1),)),
        (functools.partial, (os.system, "touch ran")),
        (builtins.bytearray, (1 << 40,)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zipped", "before 1.6"])
@pytest.mark.parametrize("nested", [True, False], ids=["nested", "bare"])
def test_a_call_in_a_pickle_is_not_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    zipped: bool,
    nested: bool,
) -> None:
    call = Calls(function, *arguments)
    beside = {"x": [argparse.Namespace(y=Calls(functools.partial, call))]} if nested else call
    monkeypatch.chdir(tmp_path)
    content = {"model": STATE, "args": beside}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    torch.testing.assert_close(load_checkpoint(tmp_path / "a.pth").state, STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_names_are_not_even_imported() -> None:
    """Importing a module runs it."""
    for protocol in (0, 1, 2):
        pickled = {
            0: b"cantigravity.deep\nThing\n.",
            1: b"cantigravity\nThing\n(tR.",
            2: b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
        }[protocol]
        found = InertUnpickler(io.BytesIO(pickled)).load()
        assert isinstance(found, StandIn) or issubclass(found, StandIn)


def test_a_view_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    """Else it would read whatever lies behind it in memory."""
    torch.save({"weight": torch.arange(6.0)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    pickled = next(name for name in entries if name.endswith("data.pkl"))
    assert entries[pickled].count(b"K\x06\x85") == 1  # the size: (6,)
    entries[pickled] = entries[pickled].replace(b"K\x06\x85", b"K\xff\x85")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as changed:
        for name, content in entries.items():
            changed.writestr(name, content)
    with pytest.raises(CheckpointError, match=r"is cut short or damaged .*out of bounds"):
        load_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("change", ["compressed", "missing", "short"])
def test_a_tampered_zip_is_refused(tmp_path: Path, change: str) -> None:
    torch.save({"weight": torch.zeros(1000)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    kind = zipfile.ZIP_DEFLATED if change == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(tmp_path / "a.pth", "w", kind) as changed:
        for name, content in entries.items():
            if "/data/" in name and change == "missing":
                continue
            changed.writestr(
                name, content[:100] if "/data/" in name and change == "short" else content
            )
    with pytest.raises(CheckpointError, match="compressed" if change == "compressed" else "cut"):
        load_checkpoint(tmp_path / "a.pth")


def test_a_length_that_is_not_there_takes_no_memory(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pth").read_bytes()
    assert b"K\x06N" in content  # six elements, no view
    huge = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    (tmp_path / "a.pth").write_bytes(content.replace(b"K\x06N", huge + b"N", 1))
    with pytest.raises(CheckpointError, match="1099511627776 elements announced"):
        load_checkpoint(tmp_path / "a.pth")


def test_a_program_of_torch_export_is_refused_with_the_remedy(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 3), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "a.pt2")
    with pytest.raises(CheckpointError, match=r"torch\.save\(network\.state_dict\(\), FILE\)"):
        load_checkpoint(tmp_path / "a.pt2")


def test_an_ordered_dictionary_keeps_its_order(tmp_path: Path) -> None:
    state = OrderedDict((f"layer{number}", torch.zeros(1)) for number in range(9, 0, -1))
    torch.save(state, tmp_path / "a.pth")
    assert list(load_checkpoint(tmp_path / "a.pth").state) == list(state)

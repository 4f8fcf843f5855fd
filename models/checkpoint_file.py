"""Files of weights: which kind one is by its own bytes, whatever its name, and its content.

Read are safetensors, what torch.save writes (zipped, or the format before PyTorch 1.6) and
TorchScript archives. Nothing in them is executed (`models.inert_pickle`).
"""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.inert_pickle import InertUnpickler

# What torch.save wrote first, before it zipped (torch.serialization.MAGIC_NUMBER).
MAGIC = 0x1950A86A20F9469CFC6C
# Files of weights in the folders that Hugging Face's libraries write.
IN_FOLDERS = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")

NOT_WEIGHTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the weights; run `git lfs pull`"),
    (b"<!doctype html", "is an HTML page, not the weights; download the file that it links to"),
    (b"<html", "is an HTML page, not the weights; download the file that it links to"),
    (b"\x89hdf", "is an HDF5 file (Keras); only PyTorch's weights are read"),
    (b"\x1f\x8b", "is gzipped; unpack it first"),
)


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why and what to do."""


def read_content(path: Path) -> object:
    """What the file holds, with stand-ins for all that is not data or tensors.

    Raises CheckpointError for a file that is missing, cut short, damaged or of another kind.
    """
    path = find_weights(path)
    try:
        with path.open("rb") as file:
            return _reader(path, file)()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:  # damaged bytes lead the readers to whatever there is
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: is cut short or damaged ({reason})") from error


def find_weights(path: Path) -> Path:
    """The file of weights that ``path`` is, or in a folder of Hugging Face's the one that it has;
    raises CheckpointError."""
    if not path.is_dir():
        return path
    found = [path / name for name in IN_FOLDERS if (path / name).is_file()]
    if not found:
        raise CheckpointError(f"{path}: is a folder without {', '.join(IN_FOLDERS)}")
    return found[0]


def _reader(path: Path, file: IO[bytes]) -> Callable[[], object]:
    """How to read ``file``, by its first bytes."""
    start = file.read(1024)
    file.seek(0)
    size = path.stat().st_size
    if not start:
        raise CheckpointError(f"{path}: is empty")
    for mark, fault in NOT_WEIGHTS:
        if start.lstrip().lower().startswith(mark):
            raise CheckpointError(f"{path}: {fault}")
    if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < size:
        return lambda: load_file(path)
    if start.startswith(b"PK\x03\x04"):
        return lambda: _read_zip(path, file)
    if start.startswith(b"\x80"):
        return lambda: _read_unzipped(path, file, size)
    raise CheckpointError(
        f"{path}: is no file of weights that torch.save or safetensors wrote; it begins with"
        f" {start[:16]!r}"
    )


def _read_zip(path: Path, file: IO[bytes]) -> object:
    """What torch.save has written since PyTorch 1.6, and TorchScript: data.pkl, and each storage's
    bytes in a file of its own."""
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    found = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if not found:
        program = any(name.endswith(".json") and "models/" in name for name in names)
        raise CheckpointError(
            f"{path}: is a program of torch.export; save the network's weights with"
            " torch.save(network.state_dict(), FILE)"
            if program
            else f"{path}: is a zip file without weights that torch.save wrote; unpack it first"
        )
    folder = found[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
        raise CheckpointError(f"{path}: was written on a big-endian machine; save it on another")
    storages: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, key: str, elements: int) -> Tensor:
        if key not in storages:
            entry = archive.getinfo(f"{folder}data/{key}")
            if entry.compress_type != zipfile.ZIP_STORED:  # as PyTorch never does, and bombs do
                raise CheckpointError(f"{path}: its tensors are compressed; unzip and zip it anew")
            storages[key] = _elements(archive.read(entry), dtype, elements)
        return storages[key].view(dtype)

    return InertUnpickler(io.BytesIO(archive.read(found[0])), storage).load()


def _read_unzipped(path: Path, file: IO[bytes], size: int) -> object:
    """What torch.save wrote before PyTorch 1.6, and does on request: pickles one after the other,
    of the content without its storages, then of their keys, then each one's length and bytes."""
    if InertUnpickler(file).load() != MAGIC:
        raise CheckpointError(f"{path}: is a pickle that torch.save did not write")
    for _ in ("protocol", "system"):
        InertUnpickler(file).load()
    storages: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, key: str, elements: int) -> Tensor:
        if elements * dtype.itemsize > size:
            raise EOFError(f"{elements} elements announced")
        return storages.setdefault(key, torch.empty(elements, dtype=dtype))

    content = InertUnpickler(file, storage).load()
    for key in InertUnpickler(file).load():
        tensor = storages[str(key)]
        (elements,) = struct.unpack("<q", file.read(8))
        tensor.copy_(_elements(file.read(elements * tensor.itemsize), tensor.dtype, elements))
    return content


def _elements(content: bytes, dtype: torch.dtype, elements: int) -> Tensor:
    """The tensor of one dimension that ``content`` is; raises EOFError if it is cut short."""
    if len(content) != elements * dtype.itemsize:
        raise EOFError(f"{len(content)} bytes for {elements} elements")
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0)

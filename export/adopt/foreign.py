"""An ONNX file of another tool: read, checked, and run once to see what it answers."""

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from export.adopt.cleaning import (
    check_versions,
    choose_outputs,
    cleaned,
    cut_at,
    give_batch_axis,
)
from export.adopt.safety import MAX_BYTES, ForeignError, all_tensors, check_safe, check_values
from export.onnx.nodes import Array
from export.onnx.trace import describe
from export.parity.model import open_quietly
from service.manifest import Tensor
from service.terminal import one_line

Layout = Literal["nchw", "nhwc"]
DTYPES: dict[str, type[np.generic]] = {
    "float": np.float32,
    "float16": np.float16,
    "uint8": np.uint8,
}
CHANNEL_AXIS: dict[Layout, int] = {"nchw": 1, "nhwc": 3}
SIDES = (32, 4096)  # least and greatest side of an input, in pixels
# What a file reads beside the image, for one image of height x width that is not resized again.
EXTRA_INPUTS: dict[str, Callable[[int, int], Array]] = {
    "orig_target_sizes": lambda height, width: np.array([[width, height]], np.int64),
    "im_shape": lambda height, width: np.array([[height, width]], np.float32),
    "scale_factor": lambda height, width: np.ones((1, 2), np.float32),
    "pixel_mask": lambda height, width: np.ones((1, height, width), np.int64),
}
# How other files begin that people take for ONNX: (offset, bytes) and what they are.
MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the file itself (git lfs pull)"),
    (0, b"PK\x03\x04", "a zip archive, as PyTorch writes checkpoints: export that to ONNX first"),
    (0, b"\x80\x02", "a pickle, as PyTorch wrote checkpoints: export that to ONNX first"),
    (4, b"TFL3", "a TensorFlow Lite model: convert it with tf2onnx first"),
    (4, b"ORTM", "in ONNX Runtime's own format: adopt the ONNX file that it was made of"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes: convert it with tf2onnx first"),
    (0, b"\x1f\x8b", "compressed: unpack it first"),
    (0, b"<", "a page of HTML or XML, not the file itself"),
)


@dataclass(frozen=True, eq=False)
class Foreign:
    """A file that is safe to run.

    untouched: the file's graph, external data read, and cut where a row of the table asks for it.
    model: the same, `cleaned`. image: the input that takes photos; extras: the others.
    ends: the nodes that were cut off, whose inputs are its outputs.
    """

    path: Path
    sha256: str
    untouched: onnx.ModelProto
    model: onnx.ModelProto
    image: Tensor
    layout: Layout
    height: int
    width: int
    extras: Mapping[str, Array]
    metadata: Mapping[str, str]
    ends: tuple[onnx.NodeProto, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)  # of layout and size

    @cached_property
    def session(self) -> ort.InferenceSession:
        """The untouched file in ONNX Runtime; raises ForeignError if that refuses it."""
        return _open(self.untouched, self.path)

    def run(self, pixels: Array) -> dict[str, Array]:
        """The untouched file's outputs for one image, [1, ...] as the file reads it; of float16 or
        float64 in float32."""
        names = [output.name for output in self.untouched.graph.output]
        values = self.session.run(names, {self.image.name: pixels, **self.extras})
        return {name: _single(value) for name, value in zip(names, values, strict=True)}

    @cached_property
    def answers(self) -> dict[str, Array]:
        """Outputs for one image of noise, by name: their shapes and types, and something of their
        values. Raises ForeignError if the file cannot be run."""
        noise = np.random.default_rng(0).integers(0, 256, (1, self.height, self.width, 3))
        pixels = noise.astype(DTYPES[self.image.dtype])
        if self.layout == "nchw":
            pixels = pixels.transpose(0, 3, 1, 2)
        try:
            answers = self.run(
                pixels if self.image.dtype == "uint8" else pixels / pixels.dtype.type(255)
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise ForeignError(f"{self.path}: cannot be run: {one_line(error)}") from error
        for name, value in answers.items():
            if not isinstance(value, np.ndarray):
                raise ForeignError(f"{self.path}: its output {name!r} is no tensor")
            if np.issubdtype(value.dtype, np.floating) and np.isnan(value).any():
                raise ForeignError(f"{self.path}: its output {name!r} is not a number (NaN)")
        return answers

    def fact(self, key: str) -> Any:
        """A value of the metadata, see `to_value`; None if there is none."""
        return to_value(self.metadata.get(key, "null"))


def to_value(text: str) -> Any:
    """What ``text`` says in JSON or in Python's notation, or itself."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
    return text


def read_foreign(
    path: Path,
    cut: Iterable[str] = (),
    outputs: Sequence[str] = (),
    layout: Layout | None = None,
    size: tuple[int, int] | None = None,
) -> Foreign:
    """Read ``path``; nothing of it has run when this returns.

    cut: operators at whose inputs the graph ends. outputs: the names of those that matter, in
    order; all if there are none. layout, size: of the image input, height and
    width, where the caller says so.

    Raises ForeignError, one line.
    """
    cut = frozenset(cut)
    try:
        content = _read(path)
        model = _parse(content)
        check_safe(model, path.parent, cut)
        _read_external(model, path.parent)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        ends = cut_at(model, cut)
        if outputs:
            choose_outputs(model, outputs)
        give_batch_axis(model)
        _check(model)
        clean = cleaned(model)
        check_values(clean)
        inputs = {tensor.name: tensor for tensor in _described(clean)}
        image = _image_input(inputs)
        layout, why_layout = _layout(image, layout)
        (height, width), why_size = _size(image, layout, size, metadata)
        extras = {
            name: _extra(tensor, height, width)
            for name, tensor in inputs.items()
            if name != image.name
        }
    except ForeignError as error:
        raise ForeignError(f"{path}: {error}") from error
    return Foreign(
        path,
        hashlib.sha256(content).hexdigest(),
        model,
        clean,
        image,
        layout,
        height,
        width,
        extras,
        metadata,
        ends,
        {"layout": why_layout, "size": why_size},
    )


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ForeignError("is a folder; name the .onnx file")
    try:
        if not path.is_file():
            raise ForeignError("there is no such file")
        if path.stat().st_size > MAX_BYTES:
            raise ForeignError("is over 2 GB, which no ONNX file may be")
        content = path.read_bytes()
    except OSError as error:
        raise ForeignError(str(error.strerror)) from error
    if not content:
        raise ForeignError("is empty")
    for offset, start, what in MAGIC:
        if content[offset:].startswith(start):
            raise ForeignError(f"is {what}")
    return content


def _parse(content: bytes) -> onnx.ModelProto:
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ForeignError("is no ONNX file, or damaged: it cannot be parsed") from error
    if not model.HasField("graph") or not model.opset_import:
        raise ForeignError("is no ONNX file: it has no graph, or no opset")
    check_versions(model)
    return model


def _read_external(model: onnx.ModelProto, folder: Path) -> None:
    external = [tensor for tensor in all_tensors(model) if uses_external_data(tensor)]
    if not external:
        return
    places = {e.value for t in external for e in t.external_data if e.key == "location"}
    size = sum((folder / place).stat().st_size for place in places)
    if size + model.ByteSize() > MAX_BYTES:
        raise ForeignError(
            f"its weights have {size:,} bytes, and a package is one file of {MAX_BYTES:,} at most:"
            " adopt a smaller variant, or one in float16"
        )
    load_external_data_for_model(model, str(folder))


def _check(model: onnx.ModelProto) -> None:
    """ONNX's own check, but for the shapes of outputs, which nothing here relies on."""
    outputs = deepcopy(list(model.graph.output))
    for output in model.graph.output:
        kind = output.type
        if kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape"):
            output.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # a ValidationError, or a RuntimeError from C++
        raise ForeignError(f"is no valid ONNX file: {one_line(error)}") from error
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def _described(model: onnx.ModelProto) -> tuple[Tensor, ...]:
    for value in model.graph.input:
        if not value.type.HasField("tensor_type"):
            raise ForeignError(f"its input {value.name!r} is no tensor")
    return describe(model.graph.input)


def _image_input(inputs: Mapping[str, Tensor]) -> Tensor:
    found = [t for t in inputs.values() if len(t.shape) == 4 and t.name not in EXTRA_INPUTS]
    if len(found) != 1:
        what = ", ".join(f"{t.name} {list(t.shape)}" for t in inputs.values()) or "none"
        raise ForeignError(
            f"it needs one input of four dimensions for the photo, and has {what}; a network of"
            " several photos, or of none, cannot become a package"
        )
    (image,) = found
    if image.dtype not in DTYPES:
        raise ForeignError(
            f"its input {image.name!r} is {image.dtype}, not one of {', '.join(DTYPES)}"
        )
    if image.shape[0] not in (0, 1) and not isinstance(image.shape[0], str):
        raise ForeignError(
            f"its input {image.name!r} takes batches of {image.shape[0]}; export it with batch 1 or"
            " a dynamic batch"
        )
    return image


def _layout(image: Tensor, given: Layout | None) -> tuple[Layout, str]:
    if given is not None:
        return given, "given"
    three = [name for name, axis in CHANNEL_AXIS.items() if image.shape[axis] == 3]
    if len(three) == 1:
        return three[0], f"{image.name} is {list(image.shape)}"
    channels = [image.shape[axis] for axis in CHANNEL_AXIS.values()]
    if not three and all(isinstance(size, str) or size == 0 for size in channels):
        return "nchw", f"{image.name} states no channels; PyTorch's exporters write nchw"
    if three:
        raise ForeignError(f"{image.name} {list(image.shape)} may be nchw or nhwc: pass --layout")
    raise ForeignError(f"{image.name} {list(image.shape)} has not three channels; photos are RGB")


def _size(
    image: Tensor, layout: Layout, given: tuple[int, int] | None, metadata: Mapping[str, str]
) -> tuple[tuple[int, int], str]:
    """Height and width, and why."""
    axes = (2, 3) if layout == "nchw" else (1, 2)
    sides = [image.shape[axis] for axis in axes]
    stated = [side if isinstance(side, int) and side else None for side in sides]
    size, why = given, "given"
    if all(stated):
        own = (int(stated[0] or 0), int(stated[1] or 0))
        if given is not None and given != own:
            raise ForeignError(f"its input is {own[0]} x {own[1]}, not {given[0]} x {given[1]}")
        size, why = own, f"{image.name} is {list(image.shape)}" if given is None else "given"
    elif given is None:
        try:
            found = to_value(metadata.get("imgsz", "null"))
            both = found if isinstance(found, list | tuple) else [found, found]
            size, why = (int(both[0]), int(both[1])), "imgsz of the metadata"
        except (ValueError, TypeError, IndexError, OverflowError):
            raise ForeignError(
                f"its input {image.name!r} {list(image.shape)} leaves the size open; pass"
                " --input-size, such as 640 or 480x640"
            ) from None
    assert size is not None
    if any(not SIDES[0] <= side <= SIDES[1] for side in size):
        raise ForeignError(
            f"its input is {size[0]} x {size[1]}; sides must be {SIDES[0]} to {SIDES[1]}"
        )
    return size, why


def _extra(tensor: Tensor, height: int, width: int) -> Array:
    """What the input ``tensor`` reads, in its type, and no larger than it states."""
    if tensor.name not in EXTRA_INPUTS:
        raise ForeignError(
            f"its input {tensor.name!r} is not known; known beside the photo are"
            f" {', '.join(EXTRA_INPUTS)}"
        )
    stated = tuple(slice(side if isinstance(side, int) and side else None) for side in tensor.shape)
    kind = onnx.TensorProto.DataType.Value(tensor.dtype.upper())
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    return EXTRA_INPUTS[tensor.name](height, width)[stated].astype(dtype)


def _single(value: Any) -> Any:
    """An output in float32, if it is of floats; one that is no array as it is."""
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(np.float32, copy=False) if is_float else value


def _open(model: onnx.ModelProto, path: Path) -> ort.InferenceSession:
    try:
        return open_quietly(model)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise ForeignError(f"{path}: ONNX Runtime refuses it: {one_line(error)}") from error

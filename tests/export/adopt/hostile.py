"""Damaged and hostile files: each is a function that writes one, and what the refusal must say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.export.adopt.made import MADE

SOUND = next(made for made in MADE if made.name == "yolov8")
Edit = Callable[[onnx.ModelProto], None]


@dataclass(frozen=True)
class Hostile:
    """words: a pattern of the one line that refuses it."""

    name: str
    write: Callable[[Path], Path]
    words: str


def raw(content: bytes) -> Callable[[Path], Path]:
    """A file of these bytes."""

    def write(folder: Path) -> Path:
        (path := folder / "file.onnx").write_bytes(content)
        return path

    return write


def edited(edit: Edit) -> Callable[[Path], Path]:
    """A sound file, edited."""

    def write(folder: Path) -> Path:
        path = SOUND.write(folder)
        model = onnx.load(path)
        edit(model)
        path.write_bytes(model.SerializeToString())
        return path

    return write


def cut_short(folder: Path) -> Path:
    path = SOUND.write(folder)
    path.write_bytes(path.read_bytes()[:-700])
    return path


def append(*nodes: onnx.NodeProto) -> Edit:
    return lambda model: model.graph.node.extend(nodes)


def call_itself(model: onnx.ModelProto) -> None:
    add_function(model, "f", ["f"])
    call(model, "f")


def call_billions(model: onnx.ModelProto) -> None:
    """Ten functions, each of which calls the one before it ten times."""
    add_function(model, "f0", ["Identity"])
    for depth in range(1, 10):
        add_function(model, f"f{depth}", [f"f{depth - 1}"] * 10)
    call(model, "f9")


def add_function(model: onnx.ModelProto, name: str, calls: list[str]) -> None:
    names = ["x", *(f"x{i}" for i in range(1, len(calls))), "y"]
    nodes = [
        helper.make_node(kind, [a], [b], domain="" if kind == "Identity" else "own")
        for kind, a, b in zip(calls, names, names[1:], strict=False)
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.functions.append(helper.make_function("own", name, ["x"], ["y"], nodes, opsets))


def call(model: onnx.ModelProto, name: str) -> None:
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node(name, ["images"], ["called"], domain="own"))


def nest(model: onnx.ModelProto) -> None:
    """Graphs in graphs, twenty deep."""
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["z"])], "g", [], [])
    for _ in range(20):
        node = helper.make_node("If", ["c"], ["z"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "g", [], [])
        graph.node[0].attribute[1].g.Clear()  # one branch will do, or the file is of a million
    model.graph.node.extend(graph.node)


def many_nodes(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["images"], ["x"])
    model.graph.node.extend([node] * 100_001)


def loop(trips: str, count: int | None = None) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        body = helper.make_graph([], "body", [], [])
        node = helper.make_node("Loop", [trips, "go", "images"], ["looped"], "endless", body=body)
        model.graph.node.append(node)
        if count is not None:
            model.graph.initializer.append(numpy_helper.from_array(np.array(count), trips))

    return edit


def by_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("trips", TensorProto.INT64, []))
    loop("trips")(model)


def first_weight(model: onnx.ModelProto) -> TensorProto:
    return next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)


def elsewhere(place: str, length: int | None = None) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        tensor = first_weight(model)
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", place), ("length", str(length or size))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return edit


def through_link(folder: Path) -> Path:
    (folder / "weights.bin").symlink_to("/etc/passwd")
    return edited(elsewhere("weights.bin"))(folder)


def too_short(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(b"123")
    return edited(elsewhere("weights.bin"))(folder)


def reshape_weight(*dims: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        first_weight(model).dims[:] = dims

    return edit


def words_as_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"words"]))


def unknown_type(model: onnx.ModelProto) -> None:
    first_weight(model).data_type = 99


def sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [5]))


def resize_input(*dims: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        for dimension, size in zip(
            model.graph.input[0].type.tensor_type.shape.dim, dims, strict=True
        ):
            dimension.dim_value = size

    return edit


def second_input(name: str, *dims: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
        model.graph.node.append(helper.make_node("Identity", [name], [f"{name}_read"]))
        model.graph.output.append(
            helper.make_tensor_value_info(f"{name}_read", TensorProto.FLOAT, dims)
        )

    return edit


def opset(version: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    return edit


def ir_version(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def escapes(model: onnx.ModelProto) -> None:
    """An output whose name would paint a terminal red."""
    model.graph.node.append(helper.make_node("Identity", ["images"], ["\x1b[31mred"]))
    model.graph.output.append(
        helper.make_tensor_value_info("\x1b[31mred", TensorProto.FLOAT, (1, 3, 64, 64))
    )


def empty_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["nothing"]))


def circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[0])


def sequence_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("SequenceConstruct", ["images"], ["sequence"]))
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    output = helper.make_value_info("sequence", helper.make_sequence_type_proto(kind))
    model.graph.output.append(output)


def not_a_number(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.dims:
            values = np.full(tuple(tensor.dims), np.nan, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def fill(*dims: int) -> Edit:
    """A value of that shape, computed from nothing."""

    def edit(model: onnx.ModelProto) -> None:
        shape = numpy_helper.from_array(np.array(dims, np.int64), "huge_shape")
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node("ConstantOfShape", ["huge_shape"], ["huge"]))
        model.graph.output.append(helper.make_tensor_value_info("huge", TensorProto.FLOAT, dims))

    return edit


custom = helper.make_node("Magic", ["images"], ["magic"], domain="com.custom")
fused = helper.make_node("FusedConv", ["images"], ["fused"], domain="com.microsoft")
unknown = helper.make_node("Nonsense", ["images"], ["nonsense"])
context = helper.make_node("EPContext", [], ["context"], domain="com.microsoft")

HOSTILE = (
    Hostile("missing", lambda folder: folder / "missing.onnx", "there is no such file"),
    Hostile("folder", lambda folder: folder, "is a folder"),
    Hostile("empty", raw(b""), "is empty"),
    Hostile("text", raw(b"hello world, this is no model at all\n" * 9), "no ONNX file"),
    Hostile("html", raw(b"<!DOCTYPE html><html>404</html>"), "a page of HTML"),
    Hostile("lfs", raw(b"version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer"),
    Hostile("zip", raw(b"PK\x03\x04" + bytes(60)), "a zip archive"),
    Hostile("pickle", raw(b"\x80\x02}q\x00."), "a pickle"),
    Hostile("tflite", raw(b"\x1c\0\0\0TFL3" + bytes(60)), "TensorFlow Lite"),
    Hostile("ort", raw(b"\x1c\0\0\0ORTM" + bytes(60)), "ONNX Runtime's own format"),
    Hostile("hdf5", raw(b"\x89HDF\r\n\x1a\n"), "HDF5"),
    Hostile("gzip", raw(b"\x1f\x8b\x08" + bytes(60)), "compressed"),
    Hostile("zeros", raw(bytes(1000)), "no ONNX file"),
    Hostile("cut short", cut_short, "cannot be parsed"),
    Hostile("no graph", raw(b"\x08\x08"), "has no graph"),
    Hostile("no nodes", edited(lambda m: m.graph.ClearField("node")), "has no nodes"),
    Hostile("custom operator", edited(append(custom)), r"com\.custom\.Magic, which is not"),
    Hostile("fused operator", edited(append(fused)), r"com\.microsoft\.FusedConv"),
    Hostile("unknown operator", edited(append(unknown)), "is no valid ONNX file"),
    Hostile("compiled elsewhere", edited(append(context)), "EPContext"),
    Hostile("function calls itself", edited(call_itself), "'f' calls itself"),
    Hostile("billion nodes", edited(call_billions), r"has [\d,]+ nodes"),
    Hostile("many nodes", edited(many_nodes), r"has 100,\d+ nodes"),
    Hostile("nested", edited(nest), "more than 8 deep"),
    Hostile("loop without end", edited(loop("")), "has no bound"),
    Hostile("loop of a billion", edited(loop("n", 10**9)), "runs 1,000,000,000 times"),
    Hostile("loop by input", edited(by_input), "as often as an input says"),
    Hostile("absolute path", edited(elsewhere("/etc/passwd")), "no path beside the file"),
    Hostile("path out", edited(elsewhere("../../etc/passwd")), "leads out of"),
    Hostile("Windows path", edited(elsewhere("C:\\secret")), "no path beside the file"),
    Hostile("link out", through_link, "no such file beside it"),
    Hostile("weights missing", edited(elsewhere("weights.bin")), "no such file beside it"),
    Hostile("weights short", too_short, "is not whole in 'weights.bin'"),
    Hostile("tensor too small", edited(reshape_weight(7, 3, 1, 2)), "and its shape"),
    Hostile("tensor negative", edited(reshape_weight(-7, 3, 1, 1)), r"has the shape \[-7"),
    Hostile("tensor absurd", edited(reshape_weight(1 << 40, 3)), "says that it has"),
    Hostile("text as weights", edited(words_as_weights), "holds text"),
    Hostile("unknown type", edited(unknown_type), "of no type that is known"),
    Hostile("sparse weights", edited(sparse), "sparse"),
    Hostile("grey photos", edited(resize_input(1, 1, 64, 64)), "has not three channels"),
    Hostile("batch of four", edited(resize_input(4, 3, 64, 64)), "batches of 4"),
    Hostile("tiny input", edited(resize_input(1, 3, 8, 8)), "sides must be 32 to 4096"),
    Hostile("absurd input", edited(resize_input(1, 3, 1 << 20, 64)), "sides must be"),
    Hostile("two photos", edited(second_input("more", 1, 3, 64, 64)), "one input of four"),
    Hostile("strange input", edited(second_input("mood", 1)), "its input 'mood' is not known"),
    Hostile("opset of the past", edited(opset(5)), "opset 5"),
    Hostile("opset to come", edited(opset(99)), "opset 99|no valid ONNX file"),
    Hostile("IR version to come", edited(ir_version), "IR version 99"),
    Hostile("escape sequence", edited(escapes), "of no family that is known"),
    Hostile("empty constant", edited(empty_constant), "'nothing' states no one value"),
    Hostile("circle", edited(circle), "is no valid ONNX file"),
    Hostile("names twice", edited(twice), "is no valid ONNX file"),
    Hostile("no tensor", edited(sequence_output), "is no tensor"),
    Hostile("huge value", edited(fill(1 << 20, 1 << 14)), r"'huge' would have [\d,]+ bytes"),
    Hostile("not a number", edited(not_a_number), "not a number"),
)

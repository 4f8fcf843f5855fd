"""A version on trial that takes all memory, in the process that it really runs in."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.manifest import GRAPH_FILE
from service.rollout.report import report
from tests.packages import CLASSIFIER, copy_package, edit_manifest
from tests.service.engine.trials import ask_all, begin, canary, open_engine, phase_until

FLOATS_PER_GREY_LEVEL = 10**8  # so that a white pixel wants 102 GB, and a black image nothing


def test_memory_that_it_takes_costs_no_caller_anything(
    store: Path, tmp_path: Path, cat: bytes
) -> None:
    """Its first run, of a black image, is sound: only what callers send shows it."""
    for version in (1, 2):
        copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", version)
    make_hungry(tmp_path / "store" / "pets" / "2")
    engine = open_engine(tmp_path / "store", tmp_path)
    try:
        rollout = begin(engine, canary(1.0))
        assert ask_all(engine, cat, 6) == {"1": 6}
        phase_until(engine, rollout, "taken_back")
        assert "requests failed" in (report(rollout).reason or "")
    finally:
        engine.close()


def make_hungry(package: Path) -> None:
    """Add to the logits the sum of as many zeros as the brightest pixel says."""
    model = onnx.load(package / GRAPH_FILE)
    graph = model.graph
    (last,) = [node for node in graph.node if node.op_type == "Softmax"]
    factor = np.array([FLOATS_PER_GREY_LEVEL], np.int64)
    graph.initializer.append(numpy_helper.from_array(factor, "hungry.factor"))
    nodes = [
        helper.make_node("ReduceMax", [graph.input[0].name], ["hungry.peak"], keepdims=0),
        helper.make_node("Cast", ["hungry.peak"], ["hungry.level"], to=TensorProto.INT64),
        helper.make_node("Mul", ["hungry.level", "hungry.factor"], ["hungry.shape"]),
        helper.make_node("ConstantOfShape", ["hungry.shape"], ["hungry.zeros"]),
        helper.make_node("ReduceSum", ["hungry.zeros"], ["hungry.sum"], keepdims=0),
        helper.make_node("Add", [last.input[0], "hungry.sum"], ["hungry.logits"]),
    ]
    last.input[0] = "hungry.logits"
    kept = list(graph.node)
    place = kept.index(last)
    del graph.node[:]
    graph.node.extend([*kept[:place], *nodes, *kept[place:]])
    content = model.SerializeToString()
    (package / GRAPH_FILE).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    edit_manifest(package, lambda manifest: manifest.update(sha256=sha256))

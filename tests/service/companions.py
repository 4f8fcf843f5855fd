"""A companion whose distance is a photo's brightness, so that tests know what is novel."""

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from service.manifest import GRAPH_FILE, MANIFEST_FILE, read_manifest
from service.repository.store import companion_of

COMPANION_SIDE = 64


def brightness_graph() -> bytes:
    """The mean of a view's values, 0 to 255, as its one distance."""
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    shape = numpy_helper.from_array(np.array([-1, 1]), "shape")
    side = COMPANION_SIDE
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["distances"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, 3])],
        [helper.make_tensor_value_info("distances", TensorProto.FLOAT, ["N", 1])],
        [axes, shape],
    )
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return model.SerializeToString()


def add_companion(package: Path, **changes: object) -> Path:
    """The companion of ``package``, its manifest changed: a white photo's novelty is 1, a black
    one's 0."""
    watched, content = read_manifest(package / MANIFEST_FILE), brightness_graph()
    folder = companion_of(package)
    draft = folder.parent / f".{folder.name}"
    draft.mkdir(parents=True)
    side, half = COMPANION_SIDE, [0.5, 0.5, 0.5]
    parity = {"reference": "boxport_network", "images": 1, "batch_sizes": [1]}
    manifest = {
        "schema_version": 2,
        "name": folder.parent.name,
        "version": folder.name,
        "task": "novelty",
        "input": {
            **{"resize": "stretch", "height": side, "width": side},
            **{"interpolation": "bilinear", "mean": half, "std": half},
        },
        "companion_of": {
            **{"name": watched.name, "version": watched.version, "sha256": watched.sha256}
        },
        "measures": ["mahalanobis"],
        "measure": "mahalanobis",
        "quantiles": [0.0, 255.0],
        "inputs": [{"name": "images", "dtype": "uint8", "shape": ["N", side, side, 3]}],
        "outputs": [{"name": "distances", "dtype": "float", "shape": ["N", 1]}],
        "opset": 20,
        "precision": "fp32",
        "sha256": hashlib.sha256(content).hexdigest(),
        "provenance": {
            **{"architecture": "brightness", "weights_file": "none", "weights_sha256": "0" * 64},
            **{"licence": "MIT", "tools": {}},
        },
        "parity": {**parity, "max_score_difference": 0.0},
        "accuracy": {"data": "none", "images": 2, "metrics": {"auroc": 0.9}},
        **changes,
    }
    (draft / MANIFEST_FILE).write_text(json.dumps(manifest))
    (draft / GRAPH_FILE).write_bytes(content)
    return draft.rename(folder)

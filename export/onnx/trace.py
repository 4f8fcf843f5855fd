"""PyTorch graph -> ONNX model, by PyTorch's exporter and the passes after it."""

import logging
import warnings
from collections.abc import Iterable
from typing import Any, Protocol

import onnx
import torch
from torch import nn

from export.onnx.checks import check_graph, check_size
from export.onnx.graph import inputs_of, outputs_of
from export.onnx.operators import ONNX_TRANSLATIONS
from export.onnx.passes import (
    fold_batch_norms,
    fold_pads,
    move_weights_into_scans,
    name_output_axes,
    resize_by_scale,
    strip_metadata,
)
from service import manifest
from service.imaging.input_spec import InputSpec
from service.manifest import REGIONS

OPSET = 20
TRACED_SIDES = (224, 320)
# The coarsest level, of stride 128, must not be of one cell, whose guard would be another graph's.
# PyTorch finds that out, and then traces a second time.
MIN_TRACED_SIDE = 129
MAX_DETECTIONS_AXIS, REGIONS_AXIS = "K", "R"
TRACED_REGIONS = 20  # neither one nor a multiple of those that are computed at once


class Traced(Protocol):
    """What a graph is for, and what it reads: a `Variant`, for one."""

    @property
    def task(self) -> manifest.PackageTask: ...

    @property
    def input(self) -> InputSpec: ...


def to_onnx(variant: Traced, graph: nn.Module) -> onnx.ModelProto:
    """Export ``graph`` with a dynamic batch.

    Raises GraphError or onnx.checker.ValidationError if the result fails a check.
    """
    program = trace(variant, graph)
    fold_batch_norms(program.model)
    resize_by_scale(program.model)
    weights = [value.const_value for value in program.model.graph.initializers.values()]
    check_size(sum(tensor.nbytes for tensor in weights if tensor is not None))
    model: onnx.ModelProto = program.model_proto
    fold_pads(model)
    move_weights_into_scans(model)
    strip_metadata(model)
    name_output_axes(model, MAX_DETECTIONS_AXIS)
    onnx.checker.check_model(model, full_check=True)
    check_graph(model, OPSET)
    return model


def trace(variant: Traced, graph: nn.Module) -> torch.onnx.ONNXProgram:
    """What PyTorch's exporter makes of ``graph``, before any pass; it holds the traced graph."""
    detects = variant.task == "detection"
    spec = variant.input
    # Two images: with one, the exporter would take the batch size for a constant. An input that
    # varies is traced small, with two different sides for the same reason.
    sides = TRACED_SIDES if spec.varies else (spec.height, spec.width)
    images = torch.zeros(2, *sides, 3, dtype=torch.uint8)
    axes = {0: torch.export.Dim("N")}
    if spec.varies:
        axes |= {
            axis: torch.export.Dim(name, min=MIN_TRACED_SIDE) for axis, name in ((1, "H"), (2, "W"))
        }
    settings = (
        (torch.tensor(0.05), torch.tensor(0.5), torch.tensor(100), torch.tensor(False))
        if detects
        else ()
    )
    shapes: list[dict[int, Any] | None] = [axes, *(None for _ in settings)]
    names = inputs_of(graph)
    if REGIONS in names:
        settings = (*settings, torch.tensor([[[0.0, 0.0, 64.0, 64.0]] * TRACED_REGIONS] * 2))
        shapes.append({0: axes[0], 1: torch.export.Dim(REGIONS_AXIS)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside PyTorch's own exporter
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph,
            (images, *settings),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            dynamic_shapes=tuple(shapes),
            input_names=names,
            output_names=outputs_of(variant.task, graph),
            custom_translation_table=ONNX_TRANSLATIONS,
        )
    assert program is not None
    return program


def describe(values: Iterable[onnx.ValueInfoProto]) -> tuple[manifest.Tensor, ...]:
    """The model's inputs or outputs as the manifest states them."""
    return tuple(
        manifest.Tensor(
            name=value.name,
            dtype=onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower(),
            shape=tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in values
    )

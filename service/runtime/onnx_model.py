"""What of an ONNX file is read without the onnx package, which serving does not install."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

# The parts of onnx.proto that are needed; what is not described is passed over.
SCHEMA = """
name: "boxport/onnx.proto" package: "boxport"
message_type { name: "Model"
  field { name: "graph" number: 7 label: LABEL_OPTIONAL type_name: ".boxport.Graph" }
  field { name: "opset_import" number: 8 label: LABEL_REPEATED type_name: ".boxport.Opset" }
  field { name: "training_info" number: 20 label: LABEL_REPEATED
    type_name: ".boxport.TrainingInfo" }
  field { name: "functions" number: 25 label: LABEL_REPEATED type_name: ".boxport.Function" } }
message_type { name: "Opset"
  field { name: "domain" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "version" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 } }
message_type { name: "TrainingInfo"
  field { name: "initialization" number: 1 label: LABEL_OPTIONAL type_name: ".boxport.Graph" }
  field { name: "algorithm" number: 2 label: LABEL_OPTIONAL type_name: ".boxport.Graph" } }
message_type { name: "Function"
  field { name: "node" number: 7 label: LABEL_REPEATED type_name: ".boxport.Node" }
  field { name: "attribute_proto" number: 11 label: LABEL_REPEATED type_name: ".boxport.Attribute" }
}
message_type { name: "Graph"
  field { name: "node" number: 1 label: LABEL_REPEATED type_name: ".boxport.Node" }
  field { name: "initializer" number: 5 label: LABEL_REPEATED type_name: ".boxport.Tensor" }
  field { name: "value_info" number: 13 label: LABEL_REPEATED type_name: ".boxport.ValueInfo" }
  field { name: "sparse_initializer" number: 15 label: LABEL_REPEATED
    type_name: ".boxport.SparseTensor" }
}
message_type { name: "ValueInfo"
  field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "type" number: 2 label: LABEL_OPTIONAL type_name: ".boxport.Type" } }
message_type { name: "Type"
  field { name: "tensor_type" number: 1 label: LABEL_OPTIONAL type_name: ".boxport.TensorType" } }
message_type { name: "TensorType"
  field { name: "shape" number: 2 label: LABEL_OPTIONAL type_name: ".boxport.Shape" } }
message_type { name: "Shape"
  field { name: "dim" number: 1 label: LABEL_REPEATED type_name: ".boxport.Dimension" } }
message_type { name: "Dimension"
  field { name: "dim_value" number: 1 label: LABEL_OPTIONAL type: TYPE_INT64 } }
message_type { name: "Node"
  field { name: "input" number: 1 label: LABEL_REPEATED type: TYPE_STRING }
  field { name: "output" number: 2 label: LABEL_REPEATED type: TYPE_STRING }
  field { name: "op_type" number: 4 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "attribute" number: 5 label: LABEL_REPEATED type_name: ".boxport.Attribute" } }
message_type { name: "Attribute"
  field { name: "t" number: 5 label: LABEL_OPTIONAL type_name: ".boxport.Tensor" }
  field { name: "g" number: 6 label: LABEL_OPTIONAL type_name: ".boxport.Graph" }
  field { name: "tensors" number: 10 label: LABEL_REPEATED type_name: ".boxport.Tensor" }
  field { name: "graphs" number: 11 label: LABEL_REPEATED type_name: ".boxport.Graph" }
  field { name: "sparse_tensor" number: 22 label: LABEL_OPTIONAL
    type_name: ".boxport.SparseTensor" }
  field { name: "sparse_tensors" number: 23 label: LABEL_REPEATED
    type_name: ".boxport.SparseTensor" } }
message_type { name: "SparseTensor"
  field { name: "values" number: 1 label: LABEL_OPTIONAL type_name: ".boxport.Tensor" }
  field { name: "indices" number: 2 label: LABEL_OPTIONAL type_name: ".boxport.Tensor" } }
message_type { name: "Tensor"
  field { name: "dims" number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
  field { name: "data_type" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "name" number: 8 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "raw_data" number: 9 label: LABEL_OPTIONAL type: TYPE_BYTES }
  field { name: "external_data" number: 13 label: LABEL_REPEATED type_name: ".boxport.Entry" }
  field { name: "data_location" number: 14 label: LABEL_OPTIONAL type: TYPE_INT32 } }
message_type { name: "Entry" }
"""
# Where onnx.proto can hold a tensor, by message.
PARTS_WITH_TENSORS = {
    "Model": ("graph", "training_info", "functions"),
    "TrainingInfo": ("initialization", "algorithm"),
    "Function": ("node", "attribute_proto"),
    "Graph": ("node", "initializer", "sparse_initializer"),
    "Node": ("attribute",),
    "Attribute": ("t", "g", "tensors", "graphs", "sparse_tensor", "sparse_tensors"),
    "SparseTensor": ("values", "indices"),
}
# TensorProto.DataType, of what weights are made of.
DTYPES: dict[int, type[np.generic]] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    10: np.float16,
}


class ExternalDataError(Exception):
    """A graph that reads another file, which no hash of its own covers; says what of it does."""


def read_model(content: bytes) -> Any:
    """The parts of an ONNX file that `SCHEMA` names, under onnx.proto's own names.

    Raises google.protobuf.message.DecodeError if it is no protobuf message.
    """
    return _Model.FromString(content)


def opset_of(model: Any) -> int:
    """The version of ONNX's own operators that ``model`` imports; 0 if it imports none."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def check_self_contained(model: Any) -> None:
    """Raise ExternalDataError if anything of ``model`` lies in another file.

    model: of `read_model`, or an onnx.ModelProto that was read without its external data:
        `onnx.load` takes the mark away by which it is told.
    """
    elsewhere = sorted(set(_external(model)))
    if elsewhere:
        more = f" and {len(elsewhere) - 3} more" if len(elsewhere) > 3 else ""
        raise ExternalDataError(
            f"the weights are in another file: {', '.join(elsewhere[:3])}{more};"
            " save the model as one file"
        )


def _external(part: Any) -> Iterator[str]:
    """Names of the tensors below ``part`` that are marked as external, and of the nodes that read a
    file by its path."""
    kind = part.DESCRIPTOR.name.removesuffix("Proto")
    if kind == "Tensor" and (part.data_location or part.external_data):
        yield part.name or "a constant"
    if kind == "Node" and part.op_type == "EPContext":  # a provider's compiled graph
        yield part.output[0] if part.output else part.op_type
    for name in PARTS_WITH_TENSORS.get(kind, ()):
        value = getattr(part, name)
        if part.DESCRIPTOR.fields_by_name[name].is_repeated:
            for child in value:
                yield from _external(child)
        elif part.HasField(name):
            yield from _external(value)


def read_weights(model: bytes, least_bytes: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Name and values of the graph's constants of at least ``least_bytes``; those that are not
    written as plain bytes of one of `DTYPES` are passed over."""
    for tensor in read_model(model).graph.initializer:
        if tensor.data_type in DTYPES and len(tensor.raw_data) >= least_bytes:
            values = np.frombuffer(tensor.raw_data, DTYPES[tensor.data_type])
            yield tensor.name, values.reshape(tuple(tensor.dims))


def _model_message() -> Any:
    file = text_format.Parse(SCHEMA, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("boxport.Model"))


_Model = _model_message()

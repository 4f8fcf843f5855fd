"""What of an ONNX file is read without the onnx package, which serving does not install."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

# The parts of onnx.proto that are needed; what is not described is passed over.
SCHEMA = """
name: "boxport/onnx.proto" package: "boxport"
message_type { name: "Model"
  field { name: "graph" number: 7 label: LABEL_OPTIONAL type_name: ".boxport.Graph" }
  field { name: "opset_import" number: 8 label: LABEL_REPEATED type_name: ".boxport.Opset" } }
message_type { name: "Opset"
  field { name: "domain" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "version" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 } }
message_type { name: "Graph"
  field { name: "initializer" number: 5 label: LABEL_REPEATED type_name: ".boxport.Tensor" } }
message_type { name: "Tensor"
  field { name: "dims" number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
  field { name: "data_type" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "name" number: 8 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "raw_data" number: 9 label: LABEL_OPTIONAL type: TYPE_BYTES } }
"""
# TensorProto.DataType, of what weights are made of.
DTYPES: dict[int, type[np.generic]] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    10: np.float16,
}


def read_opset(graph: Path) -> int:
    """The version of ONNX's own operators that ``graph`` imports; 0 if it imports none.

    Raises google.protobuf.message.DecodeError if the file is no protobuf message.
    """
    model = _Model.FromString(graph.read_bytes())
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def read_weights(model: bytes, least_bytes: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Name and values of the graph's constants of at least ``least_bytes``; those that are not
    written as plain bytes of one of `DTYPES` are passed over."""
    for tensor in _Model.FromString(model).graph.initializer:
        if tensor.data_type in DTYPES and len(tensor.raw_data) >= least_bytes:
            values = np.frombuffer(tensor.raw_data, DTYPES[tensor.data_type])
            yield tensor.name, values.reshape(tuple(tensor.dims))


def _model_message() -> Any:
    file = text_format.Parse(SCHEMA, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("boxport.Model"))


_Model = _model_message()

"""The opset of an ONNX file, read without the onnx package, which serving does not install."""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def read_opset(graph: Path) -> int:
    """The version of ONNX's own operators that ``graph`` imports; 0 if it imports none.

    Raises google.protobuf.message.DecodeError if the file is no protobuf message.
    """
    model = _ModelProto.FromString(graph.read_bytes())
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _model_proto() -> Any:
    """ONNX's ModelProto, of which only `opset_import` is described: the rest is passed over."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="boxport/opset.proto", package="boxport")
    opset = file.message_type.add(name="OperatorSetId")
    opset.field.add(name="domain", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    opset.field.add(name="version", number=2, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="Model").field.add(
        name="opset_import",
        number=8,
        type=field.TYPE_MESSAGE,
        type_name=".boxport.OperatorSetId",
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("boxport.Model"))


_ModelProto = _model_proto()

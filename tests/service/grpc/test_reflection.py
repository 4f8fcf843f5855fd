"""A client that knows nothing but the address finds what there is, and asks it; as grpcurl does."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_tools import protoc

from service.grpc import open_inference_pb2 as pb
from service.grpc.methods import METHODS, SERVICE, STREAM_INFER
from service.manifest import ModelManifest
from tests.paths import ROOT
from tests.service.grpc.servers import infer_request, running


@pytest.fixture
def channel(manifest: ModelManifest) -> Iterator[grpc.Channel]:
    with running(manifest) as server, server.channel() as channel:
        yield channel


def test_what_is_found_can_be_asked(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    pool = DescriptorPool(database)
    method = pool.FindServiceByName(SERVICE).FindMethodByName("ModelInfer")
    request = GetMessageClass(method.input_type).FromString(
        infer_request(b"photo").SerializeToString()
    )
    reply = channel.unary_unary(
        f"/{SERVICE}/ModelInfer",
        request_serializer=type(request).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )(request, timeout=30)
    assert [output.name for output in reply.outputs] == ["labels", "scores"]
    assert pool.FindServiceByName("grpc.health.v1.Health").FindMethodByName("Check")


def test_every_method_of_the_protocol_is_answered() -> None:
    described = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    answered = {*METHODS, STREAM_INFER}
    assert {f"/{SERVICE}/{name}" for name in described} == {
        name for name in answered if SERVICE in name
    }


def test_the_generated_messages_are_those_of_the_protocol(tmp_path: Path) -> None:
    """`make protocol` makes them."""
    folder = ROOT / "service" / "grpc"
    arguments = ["protoc", f"-I{folder}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    assert protoc.main([*arguments, "open_inference.proto"]) == 0
    code = (tmp_path / "open_inference_pb2.py").read_text()
    own_pool = code.replace("_descriptor_pool.Default()", "_descriptor_pool.DescriptorPool()")
    assert own_pool == (folder / "open_inference_pb2.py").read_text()
    stub = (tmp_path / "open_inference_pb2.pyi").read_text()
    assert stub == (folder / "open_inference_pb2.pyi").read_text()


def test_another_copy_of_the_protocol_may_be_in_the_process() -> None:
    """That of Triton's client has the same names."""
    from tritonclient.grpc import service_pb2

    ours, theirs = pb.ModelInferRequest.DESCRIPTOR, service_pb2.ModelInferRequest.DESCRIPTOR
    assert ours.full_name == theirs.full_name
    for name, field in ours.fields_by_name.items():
        assert theirs.fields_by_name[name].number == field.number


def test_numbers_and_kinds_are_those_of_triton() -> None:
    from tritonclient.grpc import model_config_pb2, service_pb2

    known = {
        **service_pb2.DESCRIPTOR.message_types_by_name,
        **model_config_pb2.DESCRIPTOR.message_types_by_name,
    }
    for name, message in pb.DESCRIPTOR.message_types_by_name.items():
        for field in message.fields:
            if name in ("RepositoryModelLoadResponse", "RepositoryModelUnloadResponse"):
                assert not known[name].fields  # these are KServe's
                continue
            other = known[name].fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (
                other.number,
                other.type,
                other.is_repeated,
            ), (name, field.name)

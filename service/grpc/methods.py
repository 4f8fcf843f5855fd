"""The methods of the Open Inference Protocol, each between its message and its reply: what
`service.http.v2.endpoints` is over HTTP."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from service.access.key_file import Scope
from service.grpc import open_inference_pb2 as pb
from service.grpc.call import Call
from service.grpc.messages import infer_response, model_named, parse, read_infer, to_message
from service.http.v2 import operations
from service.http.v2.endpoints import MAX_COMMAND_BYTES
from service.http.v2.metadata import SERVER
from service.problems import Problem
from service.request import check_live, check_ready
from service.worker import Worker

SERVICE = "inference.GRPCInferenceService"
INFER, STREAM_INFER = f"/{SERVICE}/ModelInfer", f"/{SERVICE}/ModelStreamInfer"
NOT_THERE = ("model_not_found", "model_unloaded", "model_unfit")  # so a model is not ready


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`.

    scope: what a key must allow; None where no key is needed.
    answer: from a call whose message has come to the reply.
    brings_images: whether there must be room for images before the message is read, which may then
        be as large as a body.
    """

    scope: Scope | None
    answer: Callable[[Call], Awaitable[Message]]
    brings_images: bool = False


def check_size(size: int) -> None:
    """Raise Problem if a message of ``size`` bytes is larger than any that brings no images."""
    if size > MAX_COMMAND_BYTES:
        raise Problem("body_too_large", f"The message has more than {MAX_COMMAND_BYTES} bytes.")


async def server_live(call: Call) -> pb.ServerLiveResponse:
    return pb.ServerLiveResponse(live=_holds(check_live, call.worker))


async def server_ready(call: Call) -> pb.ServerReadyResponse:
    return pb.ServerReadyResponse(ready=_holds(check_ready, call.worker))


async def server_metadata(call: Call) -> pb.ServerMetadataResponse:
    return to_message(pb.ServerMetadataResponse, SERVER)


async def model_ready(call: Call) -> pb.ModelReadyResponse:
    sent = parse(pb.ModelReadyRequest, call.take_message())
    call.parameters = model_named(sent.name, sent.version)
    try:
        operations.find(call)
    except Problem as problem:
        if problem.code not in NOT_THERE:
            raise
        return pb.ModelReadyResponse(ready=False)
    return pb.ModelReadyResponse(ready=True)


async def model_metadata(call: Call) -> pb.ModelMetadataResponse:
    sent = parse(pb.ModelMetadataRequest, call.take_message())
    call.parameters = model_named(sent.name, sent.version)
    return to_message(pb.ModelMetadataResponse, operations.describe_model(call))


async def model_config(call: Call) -> pb.ModelConfigResponse:
    sent = parse(pb.ModelConfigRequest, call.take_message())
    call.parameters = model_named(sent.name, sent.version)
    return to_message(pb.ModelConfigResponse, {"config": operations.configure_model(call)})


async def model_infer(call: Call) -> pb.ModelInferResponse:
    """Run a model on the images of a request."""
    call.parameters, body = read_infer(call.take_message())
    call.body_id = body.id
    task, asked = await operations.prepare(call, body)
    del body  # nothing else keeps it in memory while the model runs
    answer = await operations.run(call, task, asked)
    call.sample = answer.sample
    return infer_response(answer, asked)


async def repository_index(call: Call) -> pb.RepositoryIndexResponse:
    sent = parse(pb.RepositoryIndexRequest, call.take_message())
    models = operations.list_versions(call, ready=sent.ready)
    return to_message(pb.RepositoryIndexResponse, {"models": models})


async def repository_model_load(call: Call) -> pb.RepositoryModelLoadResponse:
    sent = parse(pb.RepositoryModelLoadRequest, call.take_message())
    name = _name_of(sent)
    call.parameters = model_named(name)
    await operations.load(call, sent.parameters)
    return pb.RepositoryModelLoadResponse(model_name=name, is_loaded=True)


async def repository_model_unload(call: Call) -> pb.RepositoryModelUnloadResponse:
    sent = parse(pb.RepositoryModelUnloadRequest, call.take_message())
    name = _name_of(sent)
    call.parameters = model_named(name)
    await operations.unload(call, sent.parameters)
    return pb.RepositoryModelUnloadResponse(model_name=name, is_unloaded=True)


async def health_check(call: Call) -> health_pb2.HealthCheckResponse:
    sent = parse(health_pb2.HealthCheckRequest, call.take_message())
    status = health_of(call.worker, sent.service)
    if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
        raise Problem("not_found", f"There is no service but {SERVICE}.")
    return health_pb2.HealthCheckResponse(status=status)


def health_of(worker: Worker, service: str) -> int:
    """A ServingStatus: that of ``service``, or with "" of all."""
    statuses = health_pb2.HealthCheckResponse
    if service not in ("", SERVICE):
        return statuses.SERVICE_UNKNOWN
    fit = _holds(check_live, worker) and _holds(check_ready, worker)
    return statuses.SERVING if fit else statuses.NOT_SERVING


def _holds(check: Callable[[Worker], None], worker: Worker) -> bool:
    try:
        check(worker)
    except Problem:
        return False
    return True


def _name_of(sent: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> str:
    """Triton's clients name the model in its own field, KServe's in that of the repository."""
    return sent.model_name or sent.repository_name


METHODS = {
    f"/{SERVICE}/ServerLive": Method(None, server_live),
    f"/{SERVICE}/ServerReady": Method(None, server_ready),
    f"/{SERVICE}/ServerMetadata": Method("infer", server_metadata),
    f"/{SERVICE}/ModelReady": Method("infer", model_ready),
    f"/{SERVICE}/ModelMetadata": Method("infer", model_metadata),
    f"/{SERVICE}/ModelConfig": Method("infer", model_config),
    INFER: Method("infer", model_infer, brings_images=True),
    f"/{SERVICE}/RepositoryIndex": Method("infer", repository_index),
    f"/{SERVICE}/RepositoryModelLoad": Method("admin", repository_model_load),
    f"/{SERVICE}/RepositoryModelUnload": Method("admin", repository_model_unload),
    "/grpc.health.v1.Health/Check": Method(None, health_check),
}

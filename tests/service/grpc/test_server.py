"""Calls pass what requests over HTTP pass: bounds, deadlines, ids, recording; and a stop waits for
them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.grpc import open_inference_pb2 as pb
from service.grpc.call import CODES
from service.grpc.listening import Listening
from service.grpc.methods import METHODS, SERVICE
from service.inference.deadline import Priority
from service.manifest import ModelManifest
from service.package import PackageError
from service.problems import KINDS, Problem
from service.telemetry.record import RequestRecord
from tests.e2e.server import eventually
from tests.service.grpc.servers import Running, ask, call, failure, infer_request, running

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def one_server(grpc_manifest: ModelManifest) -> Iterator[Running]:
    settings = {"max_body_bytes": 100_000, "request_timeout_ms": 9_000}
    with running(grpc_manifest, max_request_timeout_ms=20_000, **settings) as server:
        yield server


@pytest.fixture
def server(one_server: Running) -> Iterator[Running]:
    one_server.worker.recorder.records.clear()
    yield one_server
    engine = one_server.engine
    engine.fault = engine.sample = None
    one_server.on_loop(engine.gate.set)
    engine.policies.clear()
    engine.offered.clear()


@pytest.fixture
def channel(server: Running) -> Iterator[grpc.Channel]:
    with server.channel() as channel:
        yield channel


def record_of(server: Running) -> RequestRecord:
    eventually(lambda: server.worker.recorder.records, "a call is recorded", 10)
    (record,) = server.worker.recorder.records
    return record


def test_a_photo_is_answered_and_recorded(server: Running, channel: grpc.Channel) -> None:
    request = infer_request(b"photo", id="a7")
    reply, made = ask(channel, request, metadata=[("x-request-id", "ours")])
    assert (reply.model_name, reply.id) == (server.engine.manifest.name, "a7")
    assert [output.name for output in reply.outputs] == ["labels", "scores"]
    assert dict(made.trailing_metadata()) == {"x-request-id": "ours"}
    record = record_of(server)
    assert (record.method, record.template) == ("POST", f"/{SERVICE}/ModelInfer")
    assert (record.status, record.reason, record.request_id) == (200, "ok", "ours")
    assert (record.model, record.images) == (server.engine.manifest.name, 1)
    assert record.request_bytes == request.ByteSize()
    assert record.response_bytes == reply.ByteSize()
    assert {stage.name for stage in record.stages} == {"decode", "queue", "infer"}


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            Problem("overloaded", "Busy.", retry_after=3),
            StatusCode.UNAVAILABLE,
            "overloaded: Busy.",
        ),
        (PackageError("pets/1: damaged"), StatusCode.FAILED_PRECONDITION, "model_unfit: pets/1"),
        (ValueError("secret"), StatusCode.INTERNAL, "internal_error: The service failed."),
    ],
)
def test_what_ends_a_call_is_its_status(
    server: Running, channel: grpc.Channel, error: Exception, code: StatusCode, text: str
) -> None:
    server.engine.fault = error
    failed = failure(channel)
    assert failed.code() is code
    assert failed.details().startswith(text)
    record = record_of(server)
    assert record.reason == text.partition(":")[0]
    trailers = dict(failed.trailing_metadata())
    assert trailers["x-request-id"] == record.request_id
    assert trailers.get("grpc-retry-pushback-ms") == ("3000" if code.value[0] == 14 else None)


def test_a_long_text_is_cut_to_what_every_client_takes(
    server: Running, channel: grpc.Channel
) -> None:
    server.engine.fault = Problem("invalid_parameter", "\N{GRINNING FACE}" * 1900)
    failed = failure(channel)
    assert failed.code() is StatusCode.INVALID_ARGUMENT
    assert len(failed.details()) == 600
    assert failed.details().endswith("…")


def test_every_problem_has_a_code() -> None:
    assert {kind.status for kind in KINDS.values()} <= CODES.keys()


def test_the_callers_deadline_is_the_requests(server: Running, channel: grpc.Channel) -> None:
    ask(channel, timeout=5)
    ask(channel, timeout=50)
    ask(channel, timeout=None)
    ask(channel, timeout=5, metadata=[("x-request-timeout-ms", "900")])
    ask(channel, timeout=None, metadata=[("x-request-timeout-ms", "900")])
    own, longest, default, both, header = (one.deadline.granted for one in server.engine.policies)
    assert own == pytest.approx(5, abs=1)  # gRPC rounds it
    assert longest == 20
    assert default == 9
    assert both == 0.9
    assert header == 0.9


def test_a_deadline_that_passes_is_recorded_as_one(server: Running, channel: grpc.Channel) -> None:
    server.on_loop(server.engine.gate.clear)
    assert failure(channel, timeout=0.3).code() is StatusCode.DEADLINE_EXCEEDED
    assert (record_of(server).status, record_of(server).reason) == (504, "deadline_exceeded")
    eventually(lambda: server.engine.waiting == 0, "the model is not waited for", 10)


def test_a_call_that_is_cancelled_is_given_up(server: Running, channel: grpc.Channel) -> None:
    server.on_loop(server.engine.gate.clear)
    made = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(
        infer_request(b"photo").SerializeToString(), timeout=30
    )
    eventually(lambda: server.engine.waiting == 1, "the model runs", 10)
    made.cancel()
    assert (record_of(server).status, record_of(server).reason) == (499, "client_gone")
    eventually(lambda: server.engine.waiting == 0, "the model is not waited for", 10)


def test_priority_is_told_as_over_http(server: Running, channel: grpc.Channel) -> None:
    ask(channel, metadata=[("x-request-priority", "bulk")])
    assert server.engine.policies[0].priority is Priority.BULK
    failed = failure(channel, metadata=[("x-request-priority", "high")])
    assert failed.details() == "invalid_parameter: X-Request-Priority: send interactive or bulk."


def test_a_model_that_is_not_there(channel: grpc.Channel) -> None:
    failed = failure(channel, infer_request(b"photo", model="plants"))
    assert failed.code() is StatusCode.NOT_FOUND
    named = pb.ModelReadyRequest(name="plants")
    assert not call(channel, "ModelReady", named, pb.ModelReadyResponse)[0].ready
    named.name = "pets"
    assert call(channel, "ModelReady", named, pb.ModelReadyResponse)[0].ready


def test_a_method_that_is_not_there_is_recorded_as_other(
    server: Running, channel: grpc.Channel
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")(b"", timeout=30)
    assert caught.value.code() is StatusCode.UNIMPLEMENTED
    assert caught.value.details().startswith("method_not_allowed: There is no such method")
    assert (record_of(server).template, record_of(server).status) == ("other", 405)


def test_there_is_room_before_the_message_is_read(server: Running, channel: grpc.Channel) -> None:
    admission = server.engine.admission
    with admission.hold_images(256, Priority.INTERACTIVE):
        failed = failure(channel)
    assert failed.code() is StatusCode.UNAVAILABLE
    assert "256 images are in service" in failed.details()
    assert record_of(server).request_bytes == 0


def test_bytes_are_counted_while_a_call_is_answered(server: Running, channel: grpc.Channel) -> None:
    server.on_loop(server.engine.gate.clear)
    request = infer_request(bytes(50_000))
    made = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(
        request.SerializeToString(), timeout=30
    )
    eventually(lambda: server.engine.waiting == 1, "the model runs", 10)
    assert server.engine.admission.bytes == request.ByteSize()
    server.on_loop(server.engine.gate.set)
    made.result()
    assert server.engine.admission.bytes == 0


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if not row.brings_images])
def test_a_method_without_images_takes_small_messages(channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(method)(b"\x0a\xff\xff\x04" + bytes(81_919), timeout=30)
    assert "body_too_large: " in caught.value.details() or "forbidden" in caught.value.details()


def test_a_trial_is_offered_its_sample_once_the_reply_is_sent(
    server: Running, channel: grpc.Channel
) -> None:
    server.engine.sample = object()
    ask(channel)
    eventually(lambda: server.engine.offered == [server.engine.sample], "it is offered", 10)


# -- health, and the end


def test_health_follows_the_service(server: Running, channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    statuses = health_pb2.HealthCheckResponse
    for service in ("", SERVICE):
        found = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
        assert found.status == statuses.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=30)
    assert caught.value.code() is StatusCode.NOT_FOUND
    watched = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=30)
    assert next(watched).status == statuses.SERVING
    server.worker.lifecycle.draining = True
    assert next(watched).status == statuses.NOT_SERVING
    ready = call(channel, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)[0]
    server.worker.lifecycle.draining = False
    assert not ready.ready
    assert next(watched).status == statuses.SERVING
    watched.cancel()
    server.worker.watchdog.fault = "a run stands still"
    live = call(channel, "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)[0]
    server.worker.watchdog.fault = None
    assert not live.live


def test_a_call_in_flight_is_waited_for_and_finished(grpc_manifest: ModelManifest) -> None:
    with ExitStack() as stack:
        with running(grpc_manifest) as server:
            channel = stack.enter_context(server.channel())
            server.on_loop(server.engine.gate.clear)
            made = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(
                infer_request(b"photo").SerializeToString(), timeout=30
            )
            eventually(lambda: server.engine.waiting == 1, "the model runs", 10)
            (request,) = server.worker.lifecycle.in_flight
            assert request.template == f"/{SERVICE}/ModelInfer"
        assert pb.ModelInferResponse.FromString(made.result()).model_name


def test_the_loop_is_free_while_a_model_runs(server: Running, channel: grpc.Channel) -> None:
    server.on_loop(server.engine.gate.clear)
    made = [
        channel.unary_unary(f"/{SERVICE}/ModelInfer").future(
            infer_request(b"photo").SerializeToString(), timeout=30
        )
        for _ in range(40)
    ]
    eventually(lambda: server.engine.waiting == 40, "all forty run", 20)
    began = time.monotonic()
    call(channel, "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)
    assert time.monotonic() - began < 5
    server.on_loop(server.engine.gate.set)
    for one in made:
        one.result()


def test_a_port_that_is_taken_is_an_error(grpc_manifest: ModelManifest, server: Running) -> None:
    taken = Listening(HERE, server.port)
    with pytest.raises(RuntimeError, match=str(server.port)), running(grpc_manifest, taken):
        pass


def test_workers_share_a_port(grpc_manifest: ModelManifest) -> None:
    """Each with a socket of its own, between which the system divides the connections."""
    first = Listening(HERE, 0, is_shared=True)
    with running(grpc_manifest, first) as one:
        second = Listening(HERE, one.port, is_shared=True)
        with running(grpc_manifest, second) as other:
            for _ in range(40):
                with one.channel() as channel:
                    ask(channel)
                if one.worker.recorder.records and other.worker.recorder.records:
                    break
            assert one.worker.recorder.records
            assert other.worker.recorder.records
        with one.channel() as channel:  # the rest go on alone
            ask(channel)


def test_nothing_of_a_call_is_left_pending(server: Running, channel: grpc.Channel) -> None:
    ask(channel)
    server.on_loop(lambda: None)

    def tasks() -> int:
        return len(asyncio.all_tasks())

    eventually(lambda: server.on_loop(tasks) <= 4, "the tasks of calls have ended", 10)

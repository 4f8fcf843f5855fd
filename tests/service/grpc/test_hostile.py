"""What clients may take of the service before, and without, being answered."""

import asyncio
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from service.grpc import arrivals, server, streams
from service.grpc import open_inference_pb2 as pb
from service.grpc.methods import METHODS, SERVICE
from service.manifest import ModelManifest
from tests.e2e.server import eventually
from tests.service.grpc.servers import (
    PREFACE,
    RST_STREAM,
    RawClient,
    Running,
    ask,
    infer_request,
    running,
)

BODY = 200_000
SETTINGS = {
    "max_body_bytes": BODY,
    "max_bytes_in_service": 32
    * BODY,  # of which sixteen calls may be arriving, and as many streams
    "max_connections": 60,
    "max_head_bytes": 16_384,
    "head_timeout_ms": 500,
    "keep_alive_timeout_ms": 1500,
    "unread_timeout_ms": 500,
    "request_timeout_ms": 8_000,
}
NO_WINDOW = struct.pack(">HI", 4, 0)  # of SETTINGS: no reply may be sent


@pytest.fixture(scope="module")
def one_server(grpc_manifest: ModelManifest) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrivals, "PATIENCE_SECONDS", 0.1)
        patch.setattr(server, "KEEPALIVE_TIMEOUT_MS", 500)
        with running(grpc_manifest, **SETTINGS) as started:
            yield started


@pytest.fixture
def hosted(one_server: Running) -> Iterator[Running]:
    one_server.worker.recorder.records.clear()
    one_server.engine.policies.clear()
    yield one_server
    eventually(lambda: not one_server.worker.lifecycle.in_flight, "all calls have ended", 20)
    reasons = {record.reason for record in one_server.worker.recorder.records}
    assert "internal_error" not in reasons
    one_server.on_loop(one_server.engine.gate.set)


def assert_serves(hosted: Running) -> None:
    with hosted.channel() as channel:
        ask(channel, timeout=10)


def test_a_message_that_is_too_large_is_refused_before_it_is_whole(hosted: Running) -> None:
    with hosted.channel() as channel:
        ask(channel, infer_request(bytes(BODY - 1000)))
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel, infer_request(bytes(64 * BODY)))
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
        ask(channel)


def test_ten_thousand_entries_of_metadata_are_refused(hosted: Running) -> None:
    with hosted.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel, metadata=[(f"x-{number}", "") for number in range(10_000)])
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
        assert not hosted.engine.policies
        ask(channel, metadata=[(f"x-{number}", "value") for number in range(100)])


def test_a_message_that_would_grow_is_refused(hosted: Running) -> None:
    with hosted.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{SERVICE}/ModelInfer")(b"\x2a\x00" * 90_000, timeout=30)
    assert caught.value.details().startswith("body_too_large: The message holds more than")


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_message_is_refused_unread(
    hosted: Running, compression: grpc.Compression
) -> None:
    """It may hold a thousand times its bytes."""
    with hosted.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel, infer_request(bytes(BODY // 2)), compression=compression)
        assert caught.value.code() is StatusCode.UNIMPLEMENTED
    assert not hosted.engine.policies


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\n", PREFACE[:10], PREFACE],
    ids=["none", "http1", "half", "all"],
)
def test_a_connection_that_does_not_say_what_it_speaks_is_closed(
    hosted: Running, said: bytes
) -> None:
    with RawClient(hosted.port) as client:
        client.socket.sendall(said)
        assert client.is_closed()


def test_a_connection_without_calls_is_closed(hosted: Running) -> None:
    with RawClient(hosted.port) as client:
        client.begin()
        assert client.is_closed()


def test_a_connection_whose_other_end_is_gone_is_closed(hosted: Running) -> None:
    """It answers no ping, though a call is open."""
    with RawClient(hosted.port) as client:
        client.begin()
        client.open_call(1)
        assert client.is_closed()


def test_connections_are_counted(hosted: Running) -> None:
    with ExitStack() as stack:
        clients = []
        for _ in range(80):
            clients.append(stack.enter_context(RawClient(hosted.port)))
        refused = 0
        for client in clients:
            client.socket.settimeout(0.01)
            try:
                refused += client.socket.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                refused += 1
        assert refused >= 20
    eventually(lambda: _answers(hosted), "there is room again", 10)


def test_messages_that_never_end_leave_others_their_turn(hosted: Running) -> None:
    """Forty calls, on a few connections, send most of a message, and then nothing."""
    with ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(RawClient(hosted.port))
            client.begin()
            for stream in range(1, 21, 2):
                client.open_call(stream)
                client.send_part(stream, b"\0" + struct.pack(">I", BODY) + bytes(1000))
        eventually(lambda: len(hosted.worker.lifecycle.in_flight) >= 20, "they are open", 10)
        began = time.monotonic()
        assert_serves(hosted)
        assert time.monotonic() - began < 5


def test_calls_that_are_reset_as_soon_as_they_are_open_leave_nothing(hosted: Running) -> None:
    """A thousand on one connection (CVE-2023-44487)."""
    with RawClient(hosted.port) as client:
        client.begin()
        try:
            for stream in range(1, 2001, 2):
                client.open_call(stream)
                client.frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
        except ConnectionError:
            pass  # it has been closed
        assert_serves(hosted)
    eventually(lambda: not hosted.worker.lifecycle.in_flight, "all have ended", 10)
    assert {record.status for record in hosted.worker.recorder.records} <= {200, 400, 499}


def test_a_message_that_never_ends_is_refused_at_its_deadline(hosted: Running) -> None:
    never = threading.Event()

    def messages() -> Iterator[bytes]:
        never.wait(20)
        yield b""

    with hosted.channel() as channel:
        made = channel.stream_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            made(messages(), timeout=30, metadata=[("x-request-timeout-ms", "200")])
        never.set()
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    assert "before its message had come" in caught.value.details()


def test_a_reply_that_nobody_reads_is_given_up(
    hosted: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    def tasks() -> int:
        found: int = hosted.on_loop(lambda: len(asyncio.all_tasks()))
        return found

    message = infer_request(b"photo").SerializeToString()
    before = tasks()
    with RawClient(hosted.port) as client:
        client.begin(NO_WINDOW)
        client.open_call(1)
        client.send_part(1, b"\0" + struct.pack(">I", len(message)) + message)
        eventually(lambda: hosted.worker.recorder.records, "it is answered", 10)
        assert tasks() > before
        eventually(lambda: tasks() <= before, "nothing waits for the reader", 10)
    assert "Traceback" not in capfd.readouterr().err


def test_streams_are_counted_and_silent_ones_ended(hosted: Running) -> None:
    silent = threading.Event()

    def messages() -> Iterator[bytes]:
        silent.wait(20)
        yield from ()

    with hosted.channel() as channel:
        opened = [
            channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(messages(), timeout=30)
            for _ in range(17)
        ]
        ends = [_end_of(one) for one in opened]
        silent.set()
    refused = [text for code, text in ends if "16 streams are open" in text]
    assert len(refused) == 1
    assert sum("had no message for 1.5 s" in text for _, text in ends) == 16
    assert {code for code, _ in ends} == {StatusCode.UNAVAILABLE}


def test_a_watched_health_is_counted(hosted: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_WATCHERS", 2)
    with hosted.channel() as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watched = [watch(b"", timeout=30) for _ in range(2)]
        for one in watched:
            next(one)
        code, text = _end_of(watch(b"", timeout=30))
        for one in watched:
            one.cancel()
    assert (code, text[:10]) == (StatusCode.UNAVAILABLE, "overloaded")


def test_every_method_survives_noise(hosted: Running) -> None:
    noise = [b"\xff" * 50, b"\0", b"\x0a\x03\xff\xfe\xfd", bytes(range(256)) * 40]
    with hosted.channel() as channel:
        for method in METHODS:
            for message in noise:
                try:
                    channel.unary_unary(method)(message, timeout=30)
                except grpc.RpcError as error:
                    assert error.code() in (  # noqa: PT017
                        StatusCode.INVALID_ARGUMENT,
                        StatusCode.NOT_FOUND,
                        StatusCode.PERMISSION_DENIED,
                    ), (method, message, error)


def _answers(hosted: Running) -> bool:
    try:
        assert_serves(hosted)
    except grpc.RpcError:
        return False
    return True


def _end_of(made: Any) -> tuple[StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        for _ in made:
            pass
    return caught.value.code(), caught.value.details()


def test_a_stream_answers_in_order_whatever_fails(hosted: Running) -> None:
    sent = [
        infer_request(b"photo", id="0"),
        infer_request(b"photo", id="1", model="plants"),
        infer_request(b"photo", id="2"),
    ]
    with hosted.channel() as channel:
        made = channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )
        replies = list(made(iter(sent * 20), timeout=60))
    assert [one.infer_response.id for one in replies] == ["0", "1", "2"] * 20
    for reply in replies:
        failed = reply.infer_response.id == "1"
        assert reply.error_message.startswith("model_not_found: ") is failed
        assert bool(reply.infer_response.raw_output_contents) is not failed
    records = hosted.worker.recorder.records
    assert {one.template for one in records} == {f"/{SERVICE}/ModelStreamInfer"}
    assert len(records) == 60

"""A server of gRPC around an engine that is none, and clients of it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from service.engine.admission import Admission
from service.engine.answer import Answer, Content
from service.engine.pipelines import Times
from service.grpc import open_inference_pb2 as pb
from service.grpc.listening import Listening
from service.grpc.methods import SERVICE
from service.grpc.server import GrpcServer
from service.inference.deadline import RequestPolicy
from service.manifest import ModelManifest
from service.problems import Problem
from service.rollout.shadows import Sample
from tests.service.http.asgi import make_worker

LOCAL = Listening("127.0.0.1", 0)
MODEL = "pets"


@dataclass
class Engine:
    """Answers every image with the model's first label, once `gate` is open.

    fault: raised in place of an answer. policies: of what was asked.
    """

    manifest: ModelManifest
    admission: Admission
    fault: Exception | None = None
    policies: list[RequestPolicy] = field(default_factory=list)
    waiting: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    offered: list[Sample] = field(default_factory=list)
    sample: Any = None

    @property
    def repository(self) -> Any:
        alone = SimpleNamespace(candidate=SimpleNamespace(companion=None))
        return SimpleNamespace(find_manifest=self._find, find=lambda _: alone, versions=[])

    @property
    def shadows(self) -> Any:
        async def offer(sample: Sample) -> None:
            self.offered.append(sample)

        return SimpleNamespace(offer=offer)

    def check_room(self, policy: RequestPolicy, *_: object, certain: bool) -> None:
        self.admission.check(policy.priority)

    async def answer(
        self, task: str, contents: list[Content], parameters: Any, policy: RequestPolicy, key: Any
    ) -> Answer:
        self.policies.append(policy)
        if self.fault is not None:
            raise self.fault
        self.waiting += 1
        try:
            async with policy.deadline.limit("the model ran"):
                await self.gate.wait()
        finally:
            self.waiting -= 1
        label = self.manifest.labels[0]
        row = {"label": label.name, "label_id": label.id, "score": 0.5}
        shown = {"width": 4, "height": 3, "classifications": [row]}
        times = [Times(0.0, {"decode": 0.1, "queue": 0.0, "inference": 0.2}) for _ in contents]
        return Answer(self.manifest, [shown] * len(contents), times, 0.3, sample=self.sample)

    def _find(self, reference: str, task: str | None = None) -> ModelManifest:
        if reference != MODEL:
            raise Problem("model_not_found", f"There is no model {reference!r}.")
        return self.manifest


@dataclass
class Running:
    """A server that runs on a thread of its own. ``on_loop`` calls there, and waits for it."""

    port: int
    worker: Any
    on_loop: Callable[..., Any]

    @property
    def engine(self) -> Engine:
        return self.worker.engine

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{self.port}")


@contextmanager
def running(
    manifest: ModelManifest, listening: Listening = LOCAL, **settings: Any
) -> Iterator[Running]:
    worker = make_worker(**settings)
    worker.watchdog = SimpleNamespace(fault=None)
    made = worker.settings
    admission = Admission(made.max_images_in_service, made.max_bytes_in_service, 10**9)
    started: list[Any] = []
    ready = threading.Event()

    async def serve() -> None:
        worker.engine = Engine(manifest, admission)
        worker.engine.gate.set()
        try:
            server = GrpcServer(worker, listening)
        except Exception as error:
            started.append(error)
            ready.set()
            return
        await server.start()
        stop = asyncio.Event()
        started.extend((asyncio.get_running_loop(), server.port, stop))
        ready.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    if isinstance(started[0], Exception):
        thread.join()
        raise started[0]
    loop, port, stop = started

    def on_loop(call: Callable[..., Any], *values: Any) -> Any:
        async def run() -> Any:
            return call(*values)

        return asyncio.run_coroutine_threadsafe(run(), loop).result(10)

    try:
        yield Running(port, worker, on_loop)
    finally:
        loop.call_soon_threadsafe(worker.engine.gate.set)
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
    assert not worker.lifecycle.in_flight
    assert admission.bytes == admission.images == 0


def call(
    channel: grpc.Channel, method: str, request: Any, reply: Any, **options: Any
) -> tuple[Any, grpc.Call]:
    """What a method replies, and what came with it."""
    made = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=reply.FromString,
    )
    return made.with_call(request, timeout=options.pop("timeout", 30), **options)


def infer_request(*photos: bytes, model: str = MODEL, **fields: Any) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="image", datatype="BYTES", shape=[len(photos)]
    )
    raw = b"".join(struct.pack("<I", len(photo)) + photo for photo in photos)
    return pb.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[raw], **fields
    )


def ask(channel: grpc.Channel, request: Any = None, **options: Any) -> tuple[Any, grpc.Call]:
    """What ModelInfer replies."""
    made = infer_request(b"photo") if request is None else request
    return call(channel, "ModelInfer", made, pb.ModelInferResponse, **options)


def failure(channel: grpc.Channel, request: Any = None, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, request, **options)
    return caught.value


# Frames of HTTP/2 (RFC 9113), by their types and flags.
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_HEADERS = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class RawClient:
    """Speaks HTTP/2 by itself, as far as it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def begin(self, settings: bytes = b"") -> None:
        self.socket.sendall(PREFACE)
        self.frame(SETTINGS, 0, 0, settings)

    def frame(self, kind: int, flags: int, stream: int, content: bytes = b"") -> None:
        head = struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream)
        self.socket.sendall(head + content)

    def open_call(self, stream: int, method: str = f"/{SERVICE}/ModelInfer") -> None:
        fields = {
            b":method": b"POST",
            b":scheme": b"http",
            b":path": method.encode(),
            b":authority": b"here",
            b"te": b"trailers",
            b"content-type": b"application/grpc",
        }
        # each literal, by name, without an index (RFC 7541, 6.2.2)
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
        self.frame(HEADERS, END_HEADERS, stream, block)

    def send_part(self, stream: int, part: bytes) -> None:
        for start in range(0, len(part), 16_384):
            self.frame(DATA, 0, stream, part[start : start + 16_384])

    def is_closed(self) -> bool:
        """Whether the other side ends the connection, whatever it says before; pings are not
        answered."""
        try:
            while self.socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


def _text(value: bytes) -> bytes:
    assert len(value) < 127
    return bytes([len(value)]) + value

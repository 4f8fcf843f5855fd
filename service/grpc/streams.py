"""Calls of many messages: streams of inference, watched health, and reflection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from service.grpc import open_inference_pb2 as pb
from service.grpc.arrivals import Arrivals, Rpc
from service.grpc.messages import parse
from service.grpc.methods import SERVICE, check_size, health_of
from service.inference.deadline import Deadline
from service.problems import Problem
from service.worker import Worker

MAX_AHEAD = 16  # messages of a stream that are read before an earlier one is answered
MAX_WATCHERS = 100  # of the health
LOOK_SECONDS = 0.25  # between two looks at it

# From a message, and whether it is the stream's first.
Answer = Callable[[bytes, bool], Coroutine[Any, Any, bytes]]
Write = Callable[[bytes], Awaitable[None]]
Answers = asyncio.Queue[asyncio.Task[bytes] | None]  # in order; None is the end


class InferStreams:
    """Answers the messages of each stream, several at once, in their order."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._readers: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """Read no more of any stream; what has come is answered."""
        for reader in self._readers:
            reader.cancel()

    async def serve(self, rpc: Rpc, answer: Answer, write: Write) -> None:
        """Raises Problem if the stream cannot be opened, or stays silent for too long."""
        with self._arrivals.stream():
            answers: Answers = asyncio.Queue(MAX_AHEAD)
            reader = asyncio.create_task(self._read_all(rpc, answer, answers))
            self._readers.add(reader)
            begun = None
            try:
                while (begun := await answers.get()) is not None:
                    await write(await begun)
                await asyncio.wait([reader])
                if not reader.cancelled():  # by `end`
                    reader.result()
            finally:
                self._readers.discard(reader)
                reader.cancel()
                for task in (begun, *(answers.get_nowait() for _ in range(answers.qsize()))):
                    if task is not None:
                        task.cancel()

    async def _read_all(self, rpc: Rpc, answer: Answer, answers: Answers) -> None:
        is_first = True
        try:
            while (message := await self._arrivals.read_stream(rpc)) is not None:
                answering = asyncio.create_task(answer(message, is_first))
                del message  # the task has it, for as long as it needs it
                await answers.put(answering)
                is_first = False
        finally:
            await answers.put(None)


class Watchers:
    """Tells whoever watches the health of the service of each change."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._number = 0

    async def serve(self, message: bytes, write: Write) -> None:
        """Raises Problem if too many watch already. Ends when it is cancelled."""
        if self._number >= MAX_WATCHERS:
            raise Problem("overloaded", f"{MAX_WATCHERS} watch the health, which is the most.")
        check_size(len(message))
        service = parse(health_pb2.HealthCheckRequest, message).service
        self._number += 1
        told = None
        try:
            while True:
                status = health_of(self._worker, service)
                if status != told:
                    await write(health_pb2.HealthCheckResponse(status=status).SerializeToString())
                told = status
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._number -= 1


class Reflection:
    """Tells which methods there are, and what their messages have; by the library's own servicer,
    of the protocols that are served here."""

    METHOD = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        pool = DescriptorPool()
        for file in (pb.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            pool.AddSerializedFile(file.serialized_pb)
        health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        names = (SERVICE, health, reflection.SERVICE_NAME)
        self._servicer: Any = reflection.aio.ReflectionServicer(names, pool)

    async def serve(self, rpc: Rpc, deadline: Deadline, write: Write) -> None:
        """Raises Problem if the caller has not ended by ``deadline``."""
        questions = self._read(rpc, deadline)
        async for told in self._servicer.ServerReflectionInfo(questions, rpc):
            await write(told.SerializeToString())

    async def _read(
        self, rpc: Rpc, deadline: Deadline
    ) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        while (message := await self._arrivals.read(rpc, deadline)) is not None:
            check_size(len(message))
            yield parse(reflection_pb2.ServerReflectionRequest, message)

"""The Open Inference Protocol over gRPC, beside HTTP: in the same process, on the same event loop,
with the same engine.

    bytes ─ arrivals ─► call ─► methods ─► `service.http.v2.operations` ─► engine

The keys, rates, bounds, recording and draining of HTTP hold here: they are `service.request`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from grpc import aio

from service.grpc import open_inference_pb2 as pb
from service.grpc.arrivals import Arrivals, Rpc, largest_message
from service.grpc.call import Call, code_of, text_of
from service.grpc.listening import Listening
from service.grpc.methods import INFER, METHODS, STREAM_INFER, Method, check_size
from service.grpc.streams import InferStreams, Reflection, Watchers
from service.http.limits import OTHER_FILES, allow_files
from service.problems import Problem
from service.request import answering, to_problem
from service.settings import Settings
from service.telemetry.logs import logger
from service.worker import Worker, give_up

MAX_STREAMS = 128  # of one connection, at once; more wait on the client's side
KEEPALIVE_TIMEOUT_MS = 10_000  # for a client to answer a ping
END_SECONDS = 5.0  # for what is answered to leave once the server stops
WATCH_HEALTH = "/grpc.health.v1.Health/Watch"
UNKNOWN = "other"  # in place of a method's name that is none of these

Serve = Callable[[Rpc], Awaitable[None]]


class GrpcServer(grpc.GenericRpcHandler):
    """What answers on the second port of a worker."""

    def __init__(self, worker: Worker, listening: Listening) -> None:
        """Raises RuntimeError if the port cannot be used."""
        self._worker = worker
        self._arrivals = Arrivals.of(worker.settings)
        self._streams = InferStreams(self._arrivals)
        self._watchers, self._reflection = Watchers(worker), Reflection(self._arrivals)
        self._server = aio.server(
            handlers=[self],
            options=channel_options(worker.settings, shared=listening.is_shared),
            maximum_concurrent_rpcs=worker.settings.max_connections,
        )
        self._handlers = {
            name: _handler(partial(self._serve_one, name, method))
            for name, method in METHODS.items()
        }
        self._handlers[STREAM_INFER] = _handler(self._serve_stream)
        self._handlers[WATCH_HEALTH] = _handler(self._serve_watcher)
        self._handlers[Reflection.METHOD] = _handler(self._serve_reflection)
        self._unknown = _handler(self._refuse)
        self.port = listening.add_to(self._server)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls, and end once those that were accepted are answered."""
        self._streams.end()
        await self._server.stop(END_SECONDS)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """gRPC asks for what answers a method."""
        return self._handlers.get(handler_call_details.method, self._unknown)

    async def _serve_one(self, name: str, method: Method, rpc: Rpc) -> None:
        """Answer a call of one message, whatever happens, and record it."""
        call = await Call.begin(self._worker, name, rpc)

        async def answer() -> bytes:
            call.authorize(method.scope)
            if method.brings_images:
                self._check_room(call)
            if (message := await self._arrivals.read(rpc, call.policy.deadline)) is None:
                raise Problem("malformed_body", "The call has no message.")
            call.message = message
            del message
            return await self._answer(call, method)

        reply = await self._record(call, answer)
        if isinstance(reply, Problem):
            await self._abort(call, reply)
        else:
            rpc.set_trailing_metadata(call.trailers(None))
            await self._write(rpc, reply)
            await self._offer(call)

    async def _serve_stream(self, rpc: Rpc) -> None:
        """Answer each message as by ModelInfer; where it fails, the reply says so in its place.

        The key is looked at before anything is read, and with the first message not again.
        """
        opened = await Call.begin(self._worker, STREAM_INFER, rpc)
        method = METHODS[INFER]

        async def answer_next(message: bytes, is_first: bool) -> bytes:
            call = await Call.begin(self._worker, STREAM_INFER, rpc)
            call.caller, call.message = opened.caller, message
            del message

            async def answer() -> bytes:
                if not is_first:
                    call.authorize(method.scope)
                self._check_room(call)
                return await self._answer(call, method)

            reply = await self._record(call, answer)
            await self._offer(call)
            return _stream_reply(reply, call.body_id)

        async def serve() -> None:
            opened.authorize(method.scope)
            await self._streams.serve(rpc, answer_next, partial(self._write, rpc))

        await self._or_abort(opened, serve)

    async def _serve_watcher(self, rpc: Rpc) -> None:
        call = await Call.begin(self._worker, WATCH_HEALTH, rpc)

        async def serve() -> None:
            message = await self._arrivals.read(rpc, call.policy.deadline)
            await self._watchers.serve(message or b"", partial(self._write, rpc))

        await self._or_abort(call, serve)

    async def _serve_reflection(self, rpc: Rpc) -> None:
        call = await Call.begin(self._worker, Reflection.METHOD, rpc)
        write = partial(self._write, rpc)
        await self._or_abort(call, lambda: self._reflection.serve(rpc, call.policy.deadline, write))

    async def _refuse(self, rpc: Rpc) -> None:
        call = await Call.begin(self._worker, UNKNOWN, rpc)

        async def fail() -> bytes:
            raise Problem("method_not_allowed", "There is no such method; reflection lists them.")

        problem = await self._record(call, fail)
        assert isinstance(problem, Problem)
        await self._abort(call, problem)

    def _check_room(self, call: Call) -> None:
        """Raise Problem if not one image would be admitted, of whichever model."""
        self._worker.engine.check_room(call.policy, None, None, certain=False)

    async def _answer(self, call: Call, method: Method) -> bytes:
        """The reply to a message, whose bytes are counted until it has been answered."""
        size = call.request_bytes = len(call.message)
        with self._worker.engine.admission.hold_bytes() as room:
            room.add(size)
            if not method.brings_images:
                check_size(size)
            return (await method.answer(call)).SerializeToString()

    async def _record(
        self, call: Call, answer: Callable[[], Awaitable[bytes]]
    ) -> "bytes | Problem":
        """What ``answer`` returns, or the Problem that ended it; recorded either way."""
        with answering(call):
            try:
                reply = await answer()
            except asyncio.CancelledError:
                call.note_cancelled()
                raise
            except Exception as error:
                problem = to_problem(error, call)
                call.note_end(problem)
                return problem
            call.note_end(None, len(reply))
            return reply

    async def _or_abort(self, call: Call, serve: Callable[[], Awaitable[None]]) -> None:
        """Serve a call of many messages; that it failed as a whole is recorded."""
        try:
            await serve()
        except Exception as error:
            failure = error
        else:
            return

        async def fail() -> bytes:
            raise failure

        problem = await self._record(call, fail)
        assert isinstance(problem, Problem)
        await self._abort(call, problem)

    async def _abort(self, call: Call, problem: Problem) -> None:
        await call.rpc.abort(code_of(problem), text_of(problem), call.trailers(problem))

    async def _write(self, rpc: Rpc, reply: bytes) -> None:
        """Send ``reply``; the call is given up if its reader takes nothing for too long."""
        try:
            async with asyncio.timeout(self._worker.settings.unread_timeout_ms / 1000):
                await rpc.write(reply)
        except TimeoutError:
            # gRPC then ends the call without a status, which would wait for the reader as well
            raise asyncio.CancelledError from None

    async def _offer(self, call: Call) -> None:
        if call.sample is not None:
            await self._worker.engine.shadows.offer(call.sample)


async def open_server(worker: Worker) -> GrpcServer:
    """That of ``worker``, which answers from now on; where it cannot, the service ends."""
    allow_files(2 * worker.settings.max_connections + OTHER_FILES)  # as many as HTTP has
    try:
        server = GrpcServer(worker, Listening.beside_http(worker.settings))
        await server.start()
    except (RuntimeError, OSError, ValueError) as error:
        give_up(error, worker.board)
    logger.info("gRPC: on port %d", server.port)
    return server


def channel_options(settings: Settings, *, shared: bool) -> list[tuple[str, int]]:
    """What bounds connections, as the settings bound those of HTTP.

    shared: whether the other workers listen on the same port.
    """
    return [
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_receive_message_length", largest_message(settings)),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        # a caller's metadata; beyond the second it is refused, below the first it never is
        ("grpc.max_metadata_size", settings.max_head_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_head_bytes),
        # a connection that says nothing, or stops in the midst of saying what it speaks
        ("grpc.server_handshake_timeout_ms", settings.head_timeout_ms),
        ("grpc.http2.settings_timeout", settings.head_timeout_ms),
        ("grpc.max_connection_idle_ms", settings.keep_alive_timeout_ms),
        # one whose other end is gone
        ("grpc.keepalive_time_ms", settings.unread_timeout_ms),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        # windows that grew with the connection's speed would hold what nobody has asked for
        ("grpc.http2.bdp_probe", 0),
        # a small message may become a large one, which nothing would count
        ("grpc.compression_enabled_algorithms_bitset", 1),
    ]


def _stream_reply(reply: "bytes | Problem", body_id: str) -> bytes:
    response = pb.ModelStreamInferResponse()
    if isinstance(reply, bytes):
        response.infer_response.MergeFromString(reply)
    else:
        response.error_message, response.infer_response.id = text_of(reply), body_id
    return response.SerializeToString()


def _handler(serve: Serve) -> Any:
    """All are streams of bytes to gRPC, whose messages are then asked for one by one, once there is
    room, and written with a bound on how long that takes; a caller sees no difference."""

    async def handle(messages: object, rpc: Rpc) -> None:
        await serve(rpc)

    return grpc.stream_stream_rpc_method_handler(handle)

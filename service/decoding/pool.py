"""Decoder processes, of which each can be ended: what an image does to one is its own affair."""

import json
import math
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from service.decoding import server
from service.imaging.images import DecodeOptions, HoldMemory
from service.imaging.placement import Placement
from service.imaging.resize import ModelInput, input_size
from service.problems import KINDS, Problem

IS_POSSIBLE = sys.platform == "linux"
SPARE_BYTES = 256 * 2**20  # of addresses, beside what decoding takes: stacks of codecs' threads
KEPT_FILE_BYTES = 4 * 2**20  # a larger file's memory is given back
START_SECONDS = 60.0
CPU_FACTOR = 4  # times the seconds that are left: a codec may have threads

OnEnd = Callable[[str], None]


class DecoderEnded(Exception):
    """A decoder process is not there any more. ``read``: whether it had read its last message."""

    def __init__(self, *, read: bool) -> None:
        super().__init__()
        self.read = read


class DecoderPool:
    """Decodes images in processes; may be used from any thread.

    There are as many as threads decode at once, and ``kept`` of them stay. ``on_end`` hears why one
    was ended: "deadline", "crash" (a fault of native code), "killed" (from outside), "idle" (it was
    found dead), "fault" (it did not keep to the protocol).
    """

    def __init__(
        self, formats: tuple[str, ...], memory_bytes: int, kept: int, on_end: OnEnd
    ) -> None:
        self._kept, self._on_end = kept, on_end
        self._server = ForkServer(formats, memory_bytes)
        self._idle: list[Decoder] = []
        self._lock = threading.Lock()

    def start(self) -> bool:
        """Have one ready, whatever is to come; whether the kernel filters its system calls.

        Raises Problem if none can be started.
        """
        decoder = self._take()
        self._give_back(decoder)
        return decoder.filtered

    def decode(
        self, content: bytes, options: DecodeOptions, seconds: float, hold_memory: HoldMemory
    ) -> ModelInput:
        """As `decode_input`, in a process that is killed after ``seconds``; raises TimeoutError
        then, and Problem if it ended otherwise."""
        ends = time.monotonic() + seconds
        result = None
        while result is None:
            result = self._try(self._take(), content, options, ends, hold_memory)
        return result

    def close(self) -> None:
        self._server.close()
        for decoder in self._idle:
            decoder.close()

    def _try(
        self,
        decoder: "Decoder",
        content: bytes,
        options: DecodeOptions,
        ends: float,
        hold_memory: HoldMemory,
    ) -> ModelInput | None:
        """None if ``decoder`` was found dead: that costs no image."""
        try:
            if not decoder.take(content, options, ends):
                self._end(decoder, "idle")
                return None
            result = decoder.finish(options, ends, hold_memory)
        except TimeoutError:
            self._end(decoder, "deadline")
            raise
        except DecoderEnded:
            raise self._lost(decoder) from None
        except (ValueError, OSError, struct.error) as error:
            self._end(decoder, "fault")
            raise RuntimeError(f"a decoder does not keep to its protocol: {error}") from error
        except BaseException:  # there is no room for the image, or it is at fault
            self._give_back(decoder)
            raise
        self._give_back(decoder)
        return result

    def _take(self) -> "Decoder":
        with self._lock:
            if self._idle:
                return self._idle.pop()  # the last one: its memory is warm
        return self._server.fork()

    def _give_back(self, decoder: "Decoder") -> None:
        decoder.free_memory()
        with self._lock:
            if len(self._idle) < self._kept:
                self._idle.append(decoder)
                return
        self._server.end(decoder)

    def _end(self, decoder: "Decoder", cause: str) -> int:
        self._on_end(cause)
        return self._server.end(decoder)

    def _lost(self, decoder: "Decoder") -> Exception:
        """What to say of the image whose decoder ended by itself."""
        status = self._server.end(decoder)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number == signal.SIGXCPU:
            self._on_end("deadline")
            return TimeoutError()
        name = signal.Signals(number).name if number else f"exit {os.WEXITSTATUS(status)}"
        if number in server.CRASHES:
            self._on_end("crash")
            return Problem(
                "invalid_image",
                f"The image made its decoder crash ({name}): it is damaged, or made to do so.",
            )
        self._on_end("killed")
        return Problem(
            "overloaded",
            f"The image's decoder was ended ({name}). Try again in a moment.",
        )


class Decoder:
    """One decoder process, as its parent sees it; used by one thread at a time.

    file: in memory, with the image's bytes, and then its pixels. filtered: whether the kernel
    filters its system calls.
    """

    def __init__(self, number: int, channel: socket.socket, file: int) -> None:
        self.number, self._channel, self._file = number, channel, file
        self._written = 0
        self.filtered = self._next(time.monotonic() + START_SECONDS) == server.FILTERED

    def take(self, content: bytes, options: DecodeOptions, ends: float) -> bool:
        """Hand over an image, to be done by ``ends`` of `time.monotonic`; False if the decoder has
        ended and not read of it."""
        self._written = len(content)
        if os.pwrite(self._file, content, 0) != len(content):
            raise Problem("overloaded", server.NO_MEMORY)
        seconds = max(ends - time.monotonic(), 0.0)
        most = 2**32 if math.isinf(seconds) else math.ceil(CPU_FACTOR * seconds)
        try:
            self._say(server.JOB.pack(len(content), most) + pickle.dumps(options))
            self._first = self._next(ends)
        except DecoderEnded as error:
            if error.read:
                raise
            return False
        return True

    def finish(self, options: DecodeOptions, ends: float, hold_memory: HoldMemory) -> ModelInput:
        """The image that was taken.

        Raises Problem, TimeoutError, DecoderEnded, and ValueError for what no decoder of ours says.
        """
        with ExitStack() as held:
            message = self._first
            if message[:1] == server.ASK:
                (taken,) = server.NUMBER.unpack(message[1:])
                if taken < 0:
                    raise ValueError("less than no memory")
                try:
                    held.enter_context(hold_memory(taken))
                except BaseException:
                    self._say(server.STOP)
                    raise
                self._say(server.GO)
                message = self._next(ends)
            return self._result(message[:1], message[1:], options)

    def free_memory(self) -> None:
        """Give back the memory of a large file, which no other will soon need."""
        if self._written > KEPT_FILE_BYTES:
            os.ftruncate(self._file, 0)
            self._written = 0

    def close(self) -> None:
        self._channel.close()
        os.close(self._file)

    def _result(self, kind: bytes, said: bytes, options: DecodeOptions) -> ModelInput:
        if kind == server.PROBLEM:
            code, detail = json.loads(said)
            if code not in KINDS:
                raise ValueError("of no known code")
            raise Problem(code, str(detail))
        if kind == server.FAULT:
            raise RuntimeError(f"a decoder failed:\n{said.decode(errors='replace')}")
        if kind != server.DONE:
            raise ValueError("of no known kind")
        place = Placement(*server.PLACEMENT.unpack(said))
        if place.width < 1 or place.height < 1 or not (place.scale_x > 0 and place.scale_y > 0):
            raise ValueError("of no size")
        _check_pixels(place.width * place.height, options)
        width, height = input_size((place.width, place.height), options.spec)
        pixels = np.empty((height, width, 3), np.uint8)
        if os.preadv(self._file, [pixels.data], 0) != pixels.nbytes:
            raise ValueError("too few pixels")
        self._written = max(self._written, pixels.nbytes)
        return ModelInput(pixels, place)

    def _say(self, message: bytes) -> None:
        try:
            self._channel.send(message)
        except ConnectionError as error:
            raise DecoderEnded(read=False) from error

    def _next(self, ends: float) -> bytes:
        """Its next message."""
        remaining = ends - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._channel.settimeout(None if math.isinf(remaining) else remaining)
        try:
            message = self._channel.recv(server.MAX_MESSAGE)
        except ConnectionError as error:
            raise DecoderEnded(read=False) from error  # the system tells it from an end
        if not message:
            raise DecoderEnded(read=True)
        return message


class ForkServer:
    """The process that decoders are forked from, started anew if it ends.

    It is a program of its own, not a fork of this process: so it may be started whatever threads
    and libraries are here, and holds nothing of theirs: no file, no socket, no environment.
    """

    def __init__(self, formats: tuple[str, ...], memory_bytes: int) -> None:
        self._arguments = (",".join(formats), str(memory_bytes))
        self._lock = threading.Lock()
        self._start()

    def fork(self) -> Decoder:
        """A new decoder; raises Problem if the system has no room for one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = os.memfd_create("decoder")
        try:
            with theirs, self._lock:
                try:
                    number = self._ask(server.FORK, [theirs.fileno(), file])
                except OSError:
                    self._restart()
                    number = self._ask(server.FORK, [theirs.fileno(), file])
            if number < 0:
                raise OSError(-number, os.strerror(-number))
            return Decoder(number, ours, file)
        except (OSError, DecoderEnded) as error:
            ours.close()
            os.close(file)
            detail = f"No decoder can be started now ({error}). Try again in a moment."
            raise Problem("overloaded", detail) from error

    def end(self, decoder: Decoder) -> int:
        """Kill it and free what it holds; the status that it ended with, as of `os.waitpid`."""
        decoder.close()
        with self._lock:
            try:
                return self._ask(server.END + server.NUMBER.pack(decoder.number), [])
            except OSError:  # the server has ended, and all its decoders with it
                return int(signal.SIGKILL)

    def close(self) -> None:
        with self._lock:
            self._channel.close()
            self._process.wait()

    def _ask(self, message: bytes, files: list[int]) -> int:
        socket.send_fds(self._channel, [message], files)
        if len(answer := self._channel.recv(server.MAX_MESSAGE)) != server.NUMBER.size:
            if answer != server.READY:
                raise ConnectionResetError("the decoders' server has ended")
            answer = self._channel.recv(server.MAX_MESSAGE)
        return int(server.NUMBER.unpack(answer)[0])

    def _restart(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._start()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(START_SECONDS)
        environment = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OPENBLAS_NUM_THREADS": "1",  # so that it has one thread, and may fork
            "MALLOC_ARENA_MAX": "1",  # each has 64 MB of addresses, of which decoders have a limit
        }
        if library_path := os.environ.get("LD_LIBRARY_PATH"):
            environment["LD_LIBRARY_PATH"] = library_path
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", server.__name__, str(theirs.fileno()), *self._arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )


def _check_pixels(pixels: int, options: DecodeOptions) -> None:
    if not 0 < pixels <= options.max_pixels:
        raise ValueError(f"{pixels} pixels")

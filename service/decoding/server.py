"""The process that decoders are forked from, and what each decoder does.

`python -m service.decoding.server CHANNEL FORMATS MEMORY_BYTES` has one thread and imports what
decoding needs and nothing else, so a fork is safe, takes a millisecond, and shares its memory. Its
parent asks it by messages on the socket CHANNEL:

    FORK, with a decoder's socket and file    ->  the decoder's process id, or minus an errno
    END, process id                           ->  its status, as of `os.waitpid`; it is killed first

A decoder answers one image after another, by messages on its socket. Bytes and pixels are in its
file, which lies in memory, from the start on:

    JOB, bytes, seconds, options  ->  ASK, bytes            if room for so many is there: GO or STOP
                                  ->  DONE, placement       pixels uint8 [H, W, 3] are in the file
                                  ->  PROBLEM, JSON         the image's fault
                                  ->  FAULT, traceback      a fault of the service

What a decoder says is not trusted: none of it is unpickled. When the socket's other end closes, it
ends; when the server ends, all its decoders are killed.
"""

import contextlib
import errno
import functools
import gc
import importlib
import json
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import NoReturn

from service.cpus import lower_priority
from service.decoding.sandbox import confine, limit_cpu
from service.imaging.formats import enable_formats
from service.imaging.images import DecodeOptions, decode_input
from service.problems import Problem
from service.runtime.memory import limit_free_memory, trim_memory

FORK, END = b"F", b"E"
ASK, GO, STOP, DONE, PROBLEM, FAULT = b"A", b"G", b"S", b"D", b"P", b"F"
NUMBER = struct.Struct("<q")
JOB = struct.Struct("<QQ")  # bytes of the image, and seconds of a processor that it may take
PLACEMENT = struct.Struct("<qqddqq")  # the fields of `Placement`
MAX_MESSAGE = 64 * 2**10
READY = b"ready"  # what the server begins with
FILTERED, LIMITED = b"filtered", b"limited"  # what a decoder begins with
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
LARGE_IMAGE = 64 * 2**20  # bytes while it is decoded, of which an AVIF's decoder leaves half behind
FIRST_TO_KILL = "1000"  # of all processes, to the kernel that runs out of memory
NO_MEMORY = "There is no memory to decode the image now."
# What Pillow imports only when a file needs it, which is too late for a decoder.
LATE_IMPORTS = (
    *(f"PIL.{name}ImagePlugin" for name in ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm")),
    *(f"PIL.{name}" for name in ("TiffImagePlugin", "WebPImagePlugin", "ImageCms", "ImageColor")),
    *("PIL.ImageFilter", "PIL.ImagePalette", "copy", "xml.etree.ElementTree", "encodings.latin_1"),
    *("encodings.ascii", "encodings.utf_16", "encodings.utf_16_be", "encodings.utf_16_le"),
)


class _Refused(Exception):
    """There is no room to decode the image."""


class _Memory:
    """Asks the parent for room. taken: bytes that it has given for the image."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self.taken = channel, 0

    @contextlib.contextmanager
    def hold(self, number: int) -> Iterator[None]:
        self._channel.send(ASK + NUMBER.pack(number))
        if self._channel.recv(MAX_MESSAGE) != GO:
            raise _Refused
        self.taken = number
        yield


def main() -> None:
    channel, formats, memory_bytes = int(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to a whole group; it ends with its parent
    with contextlib.suppress(AttributeError, OSError):  # a pinned thread may have begun it
        os.sched_setaffinity(0, os.sched_getaffinity(os.getppid()))
    lower_priority()
    with contextlib.suppress(OSError):  # where memory ends, a decoder costs least
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL)
    enable_formats(formats)
    for name in LATE_IMPORTS:
        importlib.import_module(name)
    limit_free_memory()
    gc.collect()
    gc.freeze()  # else the decoders' collectors would copy the pages that they share
    # a parent that ends with a message unread resets the channel
    with socket.socket(fileno=channel) as requests, contextlib.suppress(ConnectionError):
        serve(requests, memory_bytes)


def serve(requests: socket.socket, memory_bytes: int) -> None:
    """Fork and end decoders as asked, until the other end closes."""
    decoders: set[int] = set()
    requests.send(READY)
    while True:
        message, files, _, _ = socket.recv_fds(requests, MAX_MESSAGE, 2)
        if message[:1] == FORK:
            try:
                number = os.fork() if len(files) == 2 else -errno.EMFILE
            except OSError as error:
                number = -(error.errno or 1)
            if number == 0:
                requests.close()
                _decode(socket.socket(fileno=files[0]), files[1], memory_bytes)
            for file in files:
                os.close(file)
            if number > 0:
                decoders.add(number)
            requests.send(NUMBER.pack(number))
        elif message[:1] == END:
            (number,) = NUMBER.unpack(message[1:])
            decoders.remove(number)  # nobody but its parent reaps it, so it is still that process
            os.kill(number, signal.SIGKILL)
            requests.send(NUMBER.pack(os.waitpid(number, 0)[1]))
        else:
            return


def _decode(channel: socket.socket, file: int, memory_bytes: int) -> NoReturn:
    """The life of a decoder."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)  # the service's log is not for its words
    os.close(null)
    for number in CRASHES:
        signal.signal(number, signal.SIG_DFL)
    filtered = confine(memory_bytes)
    if os.getppid() == 1:  # the server ended before its end could be heard of
        os._exit(0)
    channel.send(FILTERED if filtered else LIMITED)
    while message := channel.recv(MAX_MESSAGE):
        size, seconds = JOB.unpack_from(message)
        limit_cpu(seconds)
        memory = _Memory(channel)
        with contextlib.suppress(_Refused):
            channel.send(_answer(memory, file, size, message[JOB.size :]))
        if memory.taken >= LARGE_IMAGE:
            trim_memory()
    os._exit(0)


def _answer(memory: _Memory, file: int, size: int, options: bytes) -> bytes:
    try:
        made = decode_input(os.pread(file, size, 0), _options(options), memory.hold)
        os.pwrite(file, made.pixels.data, 0)
        return DONE + PLACEMENT.pack(*astuple(made.placement))
    except Problem as problem:
        return PROBLEM + json.dumps([problem.code, problem.detail]).encode()
    except _Refused:
        raise
    except MemoryError:
        return PROBLEM + json.dumps(["overloaded", NO_MEMORY]).encode()
    except Exception:
        return FAULT + traceback.format_exc().encode()[-MAX_MESSAGE // 2 :]


@functools.lru_cache
def _options(pickled: bytes) -> DecodeOptions:
    options: DecodeOptions = pickle.loads(pickled)  # of the parent, which is trusted
    return options


if __name__ == "__main__":
    main()

"""Work on many things at once, few at a time, with what comes out in the order of what goes in."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
Sleep = Callable[[float], None]

# Things that are taken in before the first of them has to be out, for each that is worked on: with
# one alone, a slow one would let the others wait.
AHEAD = 2
GRACE_SECONDS = 2.0  # that a run which is stopped waits for what it has begun
END = object()


class Stopped(Exception):
    """The run is over; nobody waits for this any more."""


def in_threads(
    items: Iterable[S], work: Callable[[S, Sleep], T], concurrency: int
) -> Generator[T, None, None]:
    """What ``work`` gives of each item, in order; raises what it raises.

    Items are taken as results are, never more than ``AHEAD`` times ``concurrency`` before. Closed
    early, it begins nothing more, wakes what sleeps, and gives what runs a moment to end.

    work: is also given what it has to sleep with.
    """
    stop = threading.Event()

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped

    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="boxport")
    try:
        for item in items:
            waiting.append(pool.submit(work, item, sleep))
            if len(waiting) >= AHEAD * concurrency:
                yield _first_done(waiting)
        while waiting:
            yield _first_done(waiting)
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait([future for future in waiting if not future.cancelled()], GRACE_SECONDS)


async def in_tasks(
    items: AsyncIterator[S], work: Callable[[S], Awaitable[T]], concurrency: int
) -> AsyncGenerator[T, None]:
    """As `in_threads`; closed early, it cancels what runs."""
    gate = asyncio.Semaphore(concurrency)

    async def one(item: S) -> T:
        async with gate:
            return await work(item)

    waiting: deque[asyncio.Task[T]] = deque()
    try:
        async for item in items:
            waiting.append(asyncio.create_task(one(item)))
            if len(waiting) >= AHEAD * concurrency:
                yield await _first_task(waiting)
        while waiting:
            yield await _first_task(waiting)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def one_by_one(items: Iterable[S]) -> AsyncGenerator[S, None]:
    """``items`` for `in_tasks`."""
    for item in items:
        yield item


async def in_background(items: Iterator[S]) -> AsyncGenerator[S, None]:
    """``items``, which take their time to come, from a thread of their own; closed at the end."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="boxport") as thread:
        try:
            while True:
                item: Any = await loop.run_in_executor(thread, next, items, END)
                if item is END:
                    return
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                thread.submit(close)  # not before the item that is being waited for has come


def _first_done(waiting: deque[Future[T]]) -> T:
    """The result of the first, which stays in ``waiting`` until then, to be waited for."""
    result = waiting[0].result()
    waiting.popleft()
    return result


async def _first_task(waiting: deque[asyncio.Task[T]]) -> T:
    """As `_first_done`; it stays to be cancelled."""
    result = await waiting[0]
    waiting.popleft()
    return result

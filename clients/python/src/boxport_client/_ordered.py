"""Bounded concurrent work on many items, with the results in the order of the items."""

from __future__ import annotations

import asyncio
import queue
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
from contextlib import suppress
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
Sleep = Callable[[float], None]

# Items taken, per concurrent worker, before the first of them must be done: with 1, one slow item
# would leave the other workers idle.
AHEAD = 2
GRACE_SECONDS = 2.0  # for work that is under way when a run is stopped
END = object()


class Stopped(Exception):
    """The run is over; nobody waits for this result any more."""


def in_threads(
    items: Iterable[S], work: Callable[[S, Sleep], T], concurrency: int
) -> Generator[T, None, None]:
    """The result of ``work`` for each item, in order; raises what it raises.

    Items are taken as results are, at most ``AHEAD`` times ``concurrency`` of them in advance.
    Closed early, it starts nothing more, wakes what sleeps, and gives what runs a moment to end.

    work: is also given the function that it must sleep with.
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


async def in_background(
    items: Iterable[S], at_end: Callable[[], object] | None = None
) -> AsyncGenerator[S, None]:
    """``items``, which block while they are made, from a thread of their own.

    Closed early, it does not wait for the item that is being made: the thread ends after that. It
    is a daemon, since a camera may never give another.

    at_end: is called by the thread before it ends.
    """
    loop = asyncio.get_running_loop()
    wanted: queue.SimpleQueue[asyncio.Future[Any] | None] = queue.SimpleQueue()
    work = (items, wanted, loop, at_end)
    threading.Thread(target=_make, args=work, name="boxport-items", daemon=True).start()
    try:
        while True:
            made = loop.create_future()
            wanted.put(made)
            item = await made
            if item is END:
                return
            yield item
    finally:
        wanted.put(None)


def _make(
    items: Iterable[Any],
    wanted: queue.SimpleQueue[asyncio.Future[Any] | None],
    loop: asyncio.AbstractEventLoop,
    at_end: Callable[[], object] | None,
) -> None:
    """Make an item for each future in ``wanted``, until None is."""

    def settle(made: asyncio.Future[Any], item: Any, error: Exception | None) -> None:
        if made.done():  # given up
            return
        if error is None:
            made.set_result(item)
        else:
            made.set_exception(error)

    iterator: Iterator[Any] | None = None
    while (made := wanted.get()) is not None:
        item, failed = None, None
        try:
            iterator = iter(items) if iterator is None else iterator
            item = next(iterator, END)
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, made, item, failed)
    if at_end is not None:
        with suppress(Exception):  # nobody is left to be told
            at_end()


def _first_done(waiting: deque[Future[T]]) -> T:
    """The result of the first, which stays in ``waiting`` until it is done."""
    result = waiting[0].result()
    waiting.popleft()
    return result


async def _first_task(waiting: deque[asyncio.Task[T]]) -> T:
    """As `_first_done`; it stays to be cancelled."""
    result = await waiting[0]
    waiting.popleft()
    return result

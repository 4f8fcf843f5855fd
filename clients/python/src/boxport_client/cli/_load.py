"""Closed-loop load on a service: each connection sends the next request once it has its answer.

Nothing is tried again: a refusal is counted as one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx

from boxport_client._connections import Connector

WARM_UP_SHARE = 0.2
MAX_WARM_UP_SECONDS = 2.0
DIRECT = Connector(proxy=None, secure=False, http2=False, verify=True)
NEARLY_ALL = 0.9  # share of a core at which the client is likely to be the limit


@dataclass(frozen=True)
class Target:
    """The requests: POSTs of photos to ``url`` with ``headers``; ``timeout`` is in seconds."""

    url: str
    headers: Mapping[str, str]
    photos: Sequence[bytes]
    timeout: float
    connector: Connector = DIRECT


@dataclass
class Level:
    """The figures of one concurrency.

    seconds: from the first request to the last reply.
    milliseconds: of each answer, from the first byte sent to the last received; sorted.
    errors: how often each error code of the service or exception of a connection came.
    client_load: share of a core that this process used.
    """

    concurrency: int
    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    client_load: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers per second, without refusals."""
        return len(self.milliseconds) / self.seconds if self.seconds else 0.0

    def percentile(self, percent: int) -> float | None:
        """The percentile of the answers' milliseconds, by nearest rank; None without answers."""
        if not self.milliseconds:
            return None
        rank = -(-percent * len(self.milliseconds) // 100)  # rounded up
        return self.milliseconds[max(0, rank - 1)]

    def to_dict(self) -> dict[str, Any]:
        """The figures as values for JSON."""
        return {
            "concurrency": self.concurrency,
            "seconds": round(self.seconds, 3),
            "answers": len(self.milliseconds),
            "requests_per_second": round(self.per_second, 2),
            "p50_ms": self.percentile(50),
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
            "errors": dict(self.errors),
            "client_load": round(self.client_load, 2),
        }


def measure(target: Target, concurrency: int, seconds: float) -> Level:
    """Send requests for so many seconds, after a warm-up that is not counted."""
    return asyncio.run(_measure(target, concurrency, seconds))


async def _measure(target: Target, concurrency: int, seconds: float) -> Level:
    async with target.connector.async_client() as client:
        client.timeout = httpx.Timeout(target.timeout)
        warm_up = min(MAX_WARM_UP_SECONDS, WARM_UP_SHARE * seconds)
        await _run_for(client, target, Level(concurrency), warm_up)
        level = Level(concurrency)
        await _run_for(client, target, level, seconds)
    level.milliseconds.sort()
    return level


async def _run_for(client: httpx.AsyncClient, target: Target, level: Level, seconds: float) -> None:
    photos = cycle(target.photos)
    started, busy = time.perf_counter(), time.process_time()
    until = started + seconds

    async def one_connection() -> None:
        while time.perf_counter() < until:
            sent = time.perf_counter()
            try:
                reply = await client.post(target.url, content=next(photos), headers=target.headers)
            except httpx.RequestError as error:
                level.errors[type(error).__name__] += 1
                continue
            if reply.is_success:
                level.milliseconds.append(1000 * (time.perf_counter() - sent))
            else:
                level.errors[_code(reply)] += 1

    await asyncio.gather(*(one_connection() for _ in range(level.concurrency)))
    level.seconds = time.perf_counter() - started
    level.client_load = (time.process_time() - busy) / level.seconds


def _code(reply: httpx.Response) -> str:
    try:
        return str(json.loads(reply.content)["code"])
    except (ValueError, KeyError, TypeError):
        return f"status {reply.status_code}"

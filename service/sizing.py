"""How many workers a machine needs, for the setting `workers = auto`: measured where they will run.

A worker answers a photo over HTTP again and again. The processor time that its event loop takes
for one, and its other threads, say how many photos a second the processors can do, and how many of
these one loop can feed.
"""

import asyncio
import math
import multiprocessing
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from service.settings import Settings
from service.telemetry.logs import configure, logger

PHOTO = Path(__file__).parent / "playground" / "sample.jpg"
ROUTES = {"detection": "/v1/detect", "classification": "/v1/classify"}
WARM_UP, REQUESTS = 5, 50
UTILISATION = 0.7  # of a loop, up to which its tails stay short (docs/scaling.md)
LIMIT_SECONDS = 300.0


class Cost(NamedTuple):
    """Seconds of a processor that a photo takes of the event loop, and of all else."""

    loop: float
    rest: float

    def workers(self, processors: int) -> int:
        """That feed so many ``processors``."""
        photos = processors / (self.loop + self.rest)  # a second
        return min(processors, max(1, math.ceil(photos * self.loop / UTILISATION)))


def count_for(settings: Settings) -> int:
    """The workers for this machine, at least one for each GPU; one if it cannot be measured, which
    the checks before the start will explain."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    measuring = multiprocessing.Process(target=_measure_and_tell, args=(settings, theirs))
    measuring.start()
    theirs.close()
    number = 1
    with suppress(EOFError):
        if ours.poll(LIMIT_SECONDS):
            number = ours.recv()
    measuring.kill()
    measuring.join()
    return max(number, settings.gpus)


def measure(settings: Settings) -> Cost:
    """What a photo costs here, of the first model that answers requests which name none."""
    # what a worker alone needs: see `service.app`
    import uvicorn
    import uvloop

    from service.http.connection import HttpProtocol
    from service.http.middleware import ServiceMiddleware
    from service.scoreboard import Scoreboard
    from service.worker import Worker

    changed: dict[str, object] = {"workers": 1, "threads": 1, "latency_threads": 1}
    changed |= {"keys_file": None, "rate_limit": None, "watch_seconds": 0.0, "root_path": ""}
    worker = Worker(settings.model_copy(update=changed), Scoreboard.alone())

    async def nothing(*_: object) -> None:
        """No route of ours is passed on."""

    app = ServiceMiddleware(nothing, lambda: worker)
    config = uvicorn.Config(app, http=HttpProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    tasks = {model.manifest.task for model in worker.engine.repository.models}
    route = next(path for task, path in ROUTES.items() if task in tasks)

    def ask(port: int, loop: asyncio.AbstractEventLoop) -> Cost:
        try:
            return _ask(port, route, loop)
        finally:
            server.should_exit = True

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as client,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        cost = client.submit(ask, listener.getsockname()[1], runner.get_loop())
        runner.run(server.serve([listener]))
    worker.engine.close()
    return cost.result()


def _ask(port: int, route: str, loop: asyncio.AbstractEventLoop) -> Cost:
    """What each request takes of the thread of ``loop``, and of all threads but that and this."""

    def clocks() -> tuple[float, float]:
        told: Future[float] = Future()
        loop.call_soon_threadsafe(lambda: told.set_result(time.thread_time()))
        of_loop = told.result()
        return of_loop, time.process_time() - time.thread_time() - of_loop

    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    photo, before = PHOTO.read_bytes(), clocks()
    for number in range(WARM_UP + REQUESTS):
        if number == WARM_UP:
            before = clocks()
        connection.request("POST", route, photo, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{route} answers {reply.status}")
    connection.close()
    spent = [after - began for began, after in zip(before, clocks(), strict=True)]
    return Cost(spent[0] / REQUESTS, spent[1] / REQUESTS)


def _measure_and_tell(settings: Settings, to: Connection) -> None:
    configure(settings.log_format, settings.log_level)
    try:
        cost = measure(settings)
    except Exception as error:
        logger.error("the number of workers cannot be measured: %s", error)
        return
    number = cost.workers(settings.cpus)
    logger.info(
        "%d workers: a photo takes %.2f ms of an event loop and %.1f ms beside it, and %d"
        " processors are here",
        *(number, 1000 * cost.loop, 1000 * cost.rest, settings.cpus),
    )
    to.send(number)

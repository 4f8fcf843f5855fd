"""What a worker process holds from its start to its end, and answers requests with."""

import dataclasses
import gc
import os
import signal
import threading
import time
from contextlib import nullcontext
from ipaddress import ip_network
from typing import NoReturn

import bentoml

from service.access.control import AccessControl
from service.cpus import take_share
from service.engine.engine import Engine
from service.engine.orders import FOLLOW_SECONDS
from service.fetch.fetcher import HoldBytes, UrlFetcher
from service.fetch.policy import FetchPolicy
from service.lifecycle import Lifecycle
from service.package import PackageError
from service.providers import ProviderError
from service.runtime.memory import limit_free_memory
from service.scoreboard import BEAT, PHASE, Phase, Scoreboard
from service.settings import Settings
from service.telemetry.logs import configure, logger
from service.telemetry.metrics import Metrics
from service.telemetry.recorder import RequestRecorder
from service.telemetry.spans import open_spans
from service.telemetry.states import ServiceState
from service.watchdog import Watchdog

PUBLISH_SECONDS = 0.25
STUCK_DEADLINES = 2  # the longest ones, after which a run is taken to stand still


class Worker:
    """board: of the service. fetcher: of images by URL; None where no host is allowed."""

    def __init__(self, settings: Settings, board: Scoreboard) -> None:
        """Raises PackageError or ProviderError if a model has no version that can be served."""
        configure(settings.log_format, settings.log_level)
        self.settings = settings
        self.board = board
        take_share(bentoml.server_context.worker_index or 1, settings.worker_count)
        self.metrics = Metrics(self._state, self.board, grpc=settings.grpc_port is not None)
        self._spans = open_spans()
        self.recorder = RequestRecorder(settings, self.metrics, self._spans)
        self.access = AccessControl(settings, self.board)
        self.lifecycle = Lifecycle(self.board)
        self.engine = Engine(settings, self.metrics)
        self.fetcher = make_fetcher(settings, self.engine.admission.hold_bytes)
        # a run is longer than any deadline only where nothing can end it
        limit = STUCK_DEADLINES * settings.max_request_timeout_ms / 1000
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="scoreboard", daemon=True)
        self.watchdog = Watchdog(lambda: self.engine.longest_run, limit, self._beat)

    def settle(self) -> None:
        """Get ready for requests, on the event loop."""
        longest = self.settings.max_request_timeout_ms / 1000
        self.lifecycle.drain_on_sigterm(self.settings.drain_seconds, longest)
        # What is here now stays: the collector would stop everything for a tenth of a second, again
        # and again, to look through the modules of BentoML. And a request leaves few cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 10, 10)
        limit_free_memory()
        self.watchdog.start()
        self._thread.start()
        self.lifecycle.begin()

    def close(self) -> None:
        self.lifecycle.end()
        self._ended.set()
        self.watchdog.stop()
        self.engine.close()
        if self._spans is not None:
            self._spans.close()

    def _beat(self, now: float) -> None:
        self.board.own[BEAT] = now

    def _keep_up(self) -> None:
        """Follow the operators' orders, and let the other workers know what this one holds."""
        published = 0.0
        while not self._ended.wait(FOLLOW_SECONDS):
            try:
                self.engine.orders.follow()
                if (now := time.monotonic()) - published > PUBLISH_SECONDS:
                    self.metrics.publish()
                    published = now
            except Exception:  # whatever it is, the next look may do better
                logger.exception("the scoreboard was not kept up with")

    def _state(self) -> ServiceState:
        return dataclasses.replace(self.engine.state, requests=len(self.lifecycle.in_flight))


def open_worker(settings: Settings, board: Scoreboard) -> Worker:
    """A worker of a service, if it can be one; see `give_up`."""
    try:
        return Worker(settings, board)
    except (PackageError, ProviderError) as error:
        give_up(error, board)


def give_up(error: Exception, board: Scoreboard) -> NoReturn:
    """BentoML starts a worker that fails again and again, for ever: what cannot be started ends the
    service in one line, if no other worker serves."""
    logger.critical("boxport: %s", error)
    if not any(row[PHASE] == Phase.READY for row in board.workers):
        os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)  # anything else would end in uvicorn's traceback


def make_fetcher(settings: Settings, hold_bytes: HoldBytes = nullcontext) -> UrlFetcher | None:
    """What fetches images by URL, if any host is allowed; ``hold_bytes`` counts what comes."""
    if not settings.image_hosts:
        return None
    return UrlFetcher(
        FetchPolicy(
            allowed_hosts=settings.image_hosts,
            max_bytes=settings.max_linked_image_bytes,
            timeout=settings.image_timeout_ms / 1000,
            allowed_networks=tuple(map(ip_network, settings.image_networks)),
        ),
        hold_bytes=hold_bytes,
    )

"""The BentoML service: `bentoml serve service.app:Boxport`.

/v1/detect and /v1/classify are BentoML APIs, so that they stand in its schema and its tools know
them. `ServiceMiddleware`, which is around it all, answers them itself, with the same functions.

Two kinds of process load this module: workers, and the one that starts them and then only waits.
What a worker alone needs, ONNX Runtime first of all, is imported once it is one: the other would
hold it in memory for nothing.
"""

import multiprocessing
import os
from functools import cache
from typing import Any

import bentoml
from _bentoml_sdk.service import Service
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.requests import Request
from starlette.responses import Response

from service.http.openapi.schemas import ClassifyAnswer, ClassifyForm, DetectAnswer, DetectForm
from service.scoreboard import Scoreboard
from service.settings import SettingsError, read_settings
from service.sizing import count_for
from service.supervisor import supervise
from service.telemetry.logs import configure

# What BentoML would do for each request, and the middleware does with less, or better.
TURNED_OFF = {
    "metrics": {"enabled": False},  # its labels are the paths of requests, unbounded
    "logging": {"access": {"enabled": False}},
}
# What BentoML puts around every request, and no setting turns off. The timeout leaves a timer for
# each request until it would have been over: with one of five minutes a server of mixed load grew
# by 14 % in nine, without by 1 % (docs/soak.md). Spans are made by `service.telemetry.spans`.
LEFT_OUT = (TimeoutMiddleware, OpenTelemetryMiddleware)


WORKERS_VARIABLE = "BOXPORT_WORKERS"


class BoxportService(Service[Any]):
    """As BentoML's, with our middleware outermost: what it refuses costs nothing further."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Any:
        """What a worker serves; the process that starts workers never calls it."""
        from service.http.limits import ConnectionLimits
        from service.http.listening import use_protocol
        from service.http.middleware import ServiceMiddleware

        settings = read_settings()
        use_protocol(ConnectionLimits.of(settings), settings.trusted_proxies, join_scoreboard())
        app = super().to_asgi(is_main)
        app.user_middleware = [m for m in app.user_middleware if m.cls not in LEFT_OUT]
        return ServiceMiddleware(app, lambda: bentoml.get_current_service().worker)


def count_workers() -> int:
    """What the settings say, or what was measured, once: workers read it from the environment. A
    wrong setting is reported once the service starts (`verify`)."""
    try:
        settings = read_settings()
    except SettingsError:
        return 1
    if settings.workers == "auto":
        os.environ[WORKERS_VARIABLE] = str(count_for(settings))
        settings = read_settings()
    return settings.worker_count


@cache
def join_scoreboard() -> Scoreboard:
    """Be a worker of the service that this process was started for."""
    board = Scoreboard.join(bentoml.server_context.worker_index or 1)
    board.enter()
    return board


def run_preflight() -> None:
    from service.preflight import preflight

    preflight()


@bentoml.service(
    name="boxport", workers=count_workers(), service_class=BoxportService, **TURNED_OFF
)
class Boxport:
    """Image classifiers and detectors as a service: POST photos, read what is in them."""

    def __init__(self) -> None:
        from service.worker import open_worker

        self.worker = open_worker(read_settings(), join_scoreboard())

    @bentoml.on_deployment
    @staticmethod
    def verify() -> None:
        """Refuse to start with a wrong setting or a damaged store: once, in one line. Then look
        after the workers."""
        looking = multiprocessing.Process(target=run_preflight)
        looking.start()
        looking.join()
        if looking.exitcode:
            raise SystemExit(looking.exitcode)
        settings = read_settings()
        configure(settings.log_format, settings.log_level)
        supervise(settings)

    @bentoml.on_startup
    async def settle(self) -> None:
        self.grpc = None
        if self.worker.settings.grpc_port is not None:
            from service.grpc.server import open_server

            self.grpc = await open_server(self.worker)
        self.worker.settle()

    async def __is_alive__(self) -> bool:
        return self.worker.watchdog.fault is None

    async def __is_ready__(self) -> bool:
        return self.worker.lifecycle.is_ready

    @bentoml.api(route="/v1/detect", input_spec=DetectForm, output_spec=DetectAnswer)
    async def detect(self, request: Request) -> Response:
        """Find objects in one or more images."""
        from service.http.context import RequestContext
        from service.http.v1 import detect

        return await detect(RequestContext.of(request.scope))

    @bentoml.api(route="/v1/classify", input_spec=ClassifyForm, output_spec=ClassifyAnswer)
    async def classify(self, request: Request) -> Response:
        """Say what one or more images show."""
        from service.http.context import RequestContext
        from service.http.v1 import classify

        return await classify(RequestContext.of(request.scope))

    @bentoml.on_shutdown
    async def close(self) -> None:
        if self.grpc is not None:
            await self.grpc.stop()
        self.worker.close()

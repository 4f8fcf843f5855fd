"""The BentoML service: `bentoml serve service.app:Boxport`.

/v1/detect and /v1/classify are BentoML APIs, so that they stand in its schema and its tools know
them. The gate, which is around it all, answers them itself, with the same `answer`; the rest is
mounted beside them.

Two kinds of process load this module: workers, and the one that starts them and then only waits.
What a worker alone needs, ONNX Runtime first of all, is imported once it is one: the other would
hold it in memory for nothing.
"""

import multiprocessing

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from service.http.gated_service import GatedService
from service.http.openapi.schemas import ClassifyAnswer, ClassifyForm, DetectAnswer, DetectForm
from service.manifest import Task
from service.settings import SettingsError, read_settings
from service.telemetry.logs import configure

# What BentoML would do for each request, and the gate does with less, or better.
TURNED_OFF = {
    "metrics": {"enabled": False},  # its labels are whatever paths strangers ask for
    "logging": {"access": {"enabled": False}},
}


def count_workers() -> int:
    """What the settings say; a wrong setting is reported once the service starts (`verify`)."""
    try:
        return read_settings().workers
    except SettingsError:
        return 1


def run_preflight() -> None:
    from service.preflight import preflight

    preflight()


@bentoml.service(name="boxport", workers=count_workers(), service_class=GatedService, **TURNED_OFF)
class Boxport:
    """Image classifiers and detectors as a service: POST photos, read what is in them."""

    def __init__(self) -> None:
        from service.worker import Worker

        self.worker = Worker(read_settings())

    @bentoml.on_deployment
    @staticmethod
    def verify() -> None:
        """Refuse to start with a wrong setting or a damaged store: once, in one line."""
        looking = multiprocessing.Process(target=run_preflight)
        looking.start()
        looking.join()
        if looking.exitcode:
            raise SystemExit(looking.exitcode)
        settings = read_settings()
        configure(settings.log_format, settings.log_level)

    @bentoml.on_startup
    async def settle(self) -> None:
        self.worker.settle()

    async def __is_ready__(self) -> bool:
        return not self.worker.doorkeeper.draining

    @bentoml.api(route="/v1/detect", input_spec=DetectForm, output_spec=DetectAnswer)
    async def detect(self, request: Request) -> Response:
        """Find objects in one or more images."""
        return await self._answer("detection", request)

    @bentoml.api(route="/v1/classify", input_spec=ClassifyForm, output_spec=ClassifyAnswer)
    async def classify(self, request: Request) -> Response:
        """Say what one or more images show."""
        return await self._answer("classification", request)

    @bentoml.on_shutdown
    def close(self) -> None:
        self.worker.close()

    async def _answer(self, task: Task, request: Request) -> Response:
        from service.http.answering import answer

        worker = self.worker
        return await answer(task, request, worker.engine, worker.settings, worker.fetcher)

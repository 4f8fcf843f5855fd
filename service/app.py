"""The BentoML service: `bentoml serve service.app:Boxport`.

/v1/detect and /v1/classify are BentoML APIs, so that they stand in its schema and its tools know
them. The gate, which is around it all, answers them itself, with the same `answer`; the rest is
mounted beside them.
"""

import dataclasses
import gc
import os
import signal
from ipaddress import ip_network

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from service.access.key_file import KeysError
from service.api.answering import answer
from service.api.doorkeeper import Doorkeeper
from service.api.gated_service import GatedService
from service.api.routes import routes_app
from service.api.schemas import ClassifyAnswer, ClassifyForm, DetectAnswer, DetectForm
from service.engine.engine import Engine, unfit_packages
from service.engine.memory import trim_memory
from service.engine.sources import open_source
from service.fetch.fetcher import UrlFetcher
from service.fetch.policy import FetchPolicy
from service.images import enable_formats
from service.package import PackageError
from service.providers import ProviderError, choose_providers
from service.settings import Settings, SettingsError, read_settings
from service.telemetry.logs import configure, logger
from service.telemetry.metrics import Metrics, State
from service.telemetry.spans import NoSpans, open_spans

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


@bentoml.asgi_app(routes_app, path="/")
@bentoml.service(name="boxport", workers=count_workers(), service_class=GatedService, **TURNED_OFF)
class Boxport:
    """Image classifiers and detectors as a service: POST photos, read what is in them."""

    def __init__(self) -> None:
        self.settings = read_settings()
        configure(self.settings.log_format, self.settings.log_level)
        self.metrics = Metrics(self._state)
        self.spans = open_spans()
        self.doorkeeper = Doorkeeper(self.settings, self.metrics, self.spans)
        self.fetcher = make_fetcher(self.settings)
        self.engine = self._open_engine()

    @bentoml.on_deployment
    @staticmethod
    def verify() -> None:
        """Refuse to start with a wrong setting or a damaged store: once, in one line."""
        try:
            settings = read_settings()
            configure(settings.log_format, settings.log_level)
            found = dict(open_source(settings.model_store).scan())
            for name in sorted({name for name, _ in found}):
                wanted = settings.for_model(name)
                choose_providers(wanted.execution_providers, allow_fallback=wanted.allow_fallback)
            unfit_packages(found, settings)
            Doorkeeper(settings, Metrics(lambda: State([], 0, 0, 0)), NoSpans())
            make_fetcher(settings)
            enable_formats(settings.image_formats)
            trim_memory()
        except (SettingsError, PackageError, ProviderError, KeysError, ValueError) as error:
            raise SystemExit(f"boxport: {error}") from error

    @bentoml.on_startup
    async def settle(self) -> None:
        self.doorkeeper.drain_on_sigterm(self.settings.drain_seconds)
        # What is here now stays: the collector would stop everything for a tenth of a second, again
        # and again, to look through the modules of BentoML. And a request leaves few cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 10, 10)

    async def __is_ready__(self) -> bool:
        return not self.doorkeeper.draining

    @bentoml.api(route="/v1/detect", input_spec=DetectForm, output_spec=DetectAnswer)
    async def detect(self, request: Request) -> Response:
        """Find objects in one or more images."""
        return await answer("detection", request, self.engine, self.settings, self.fetcher)

    @bentoml.api(route="/v1/classify", input_spec=ClassifyForm, output_spec=ClassifyAnswer)
    async def classify(self, request: Request) -> Response:
        """Say what one or more images show."""
        return await answer("classification", request, self.engine, self.settings, self.fetcher)

    @bentoml.on_shutdown
    def close(self) -> None:
        self.engine.close()
        self.spans.close()

    def _open_engine(self) -> Engine:
        """BentoML starts a worker that fails again and again, for ever: what cannot be loaded
        ends the service in one line, if no other worker serves."""
        try:
            return Engine(self.settings, self.metrics)
        except (PackageError, ProviderError) as error:
            logger.critical("boxport: %s", error)
            if self.settings.workers == 1:
                os.kill(os.getppid(), signal.SIGTERM)
            os._exit(1)  # anything else would end in uvicorn's traceback

    def _state(self) -> State:
        return dataclasses.replace(self.engine.state, requests=self.doorkeeper.inside)


def make_fetcher(settings: Settings) -> UrlFetcher | None:
    """What fetches images by URL, if any host is allowed."""
    if not settings.image_hosts:
        return None
    return UrlFetcher(
        FetchPolicy(
            allowed_hosts=settings.image_hosts,
            max_bytes=settings.max_linked_image_bytes,
            timeout=settings.image_timeout_ms / 1000,
            allowed_networks=tuple(map(ip_network, settings.image_networks)),
        )
    )

"""The BentoML service: `bentoml serve service.app:Boxport`.

/v1/detect and /v1/classify are BentoML APIs, so that they stand in its schema. Each is thin: it
takes the request as it came, and gives a finished reply. The rest is mounted beside them.
"""

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from service.api.replies import answer_reply, problem_reply, request_id_of
from service.api.request import read_request
from service.api.routes import routes_app
from service.api.schemas import ClassifyAnswer, ClassifyForm, DetectAnswer, DetectForm
from service.engine.engine import PARAMETERS, Engine
from service.log import logger
from service.manifest import Task
from service.package import PackageError, find_packages, verify_package
from service.parameters import read_parameters
from service.problems import Problem
from service.settings import SettingsError, read_settings


@bentoml.asgi_app(routes_app, path="/")
@bentoml.service(name="boxport", workers=1, traffic={"timeout": 60})
class Boxport:
    """Image classifiers and detectors as a service: POST photos, read what is in them."""

    def __init__(self) -> None:
        self.settings = read_settings()
        self.engine = Engine(self.settings)

    @bentoml.on_deployment
    @staticmethod
    def verify_models() -> None:
        """Refuse to start with a wrong setting or a damaged store: once, in one line."""
        try:
            settings = read_settings()
            for folder in find_packages(settings.model_store):
                verify_package(folder, settings.public_keys)
        except (SettingsError, PackageError) as error:
            raise SystemExit(f"boxport: {error}") from error

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
        self.engine.close()

    async def _answer(self, task: Task, request: Request) -> Response:
        request_id = request_id_of(request)
        try:
            sent = await read_request(request, self.settings)
            parameters = read_parameters(PARAMETERS[task], sent.values)
            answer = await self.engine.answer(task, sent.images, parameters)
        except Problem as problem:
            return problem_reply(problem, request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            return problem_reply(Problem("internal_error", "The service failed."), request_id)
        return answer_reply(answer, request_id)

"""The calls of the service's HTTP API, each as a request flow that either client can drive."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from PIL import Image

from boxport_client._connections import Connector, Verify
from boxport_client._errors import ConnectionFailed, RequestTimedOut
from boxport_client._model_info import Health, ModelInfo
from boxport_client._parameters import ClassifyParameters, DetectParameters
from boxport_client._photos import Photo, is_url, to_bytes, to_url
from boxport_client._requester import (
    NO_BODY,
    PROBE_SECONDS,
    Body,
    Call,
    Requester,
    checked_timeout,
)
from boxport_client._results import ClassificationResult, DetectionResult
from boxport_client._rollout import Rollout
from boxport_client._shrinking import Shrunk, fit, restored, shrink, to_compact
from boxport_client._steps import Pause, RequestFlow, Work
from boxport_client._tiled import TiledDetector

DEFAULT_URL = "http://localhost:3000"
POLL_SECONDS = 0.2


class Api:
    """One service's API. Arguments that are None come from the environment. Raises ValueError."""

    def __init__(
        self,
        url: str | None,
        api_key: str | None,
        timeout: float,
        retries: int,
        priority: str | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        url = url or os.environ.get("BOXPORT_URL") or DEFAULT_URL
        api_key = api_key or os.environ.get("BOXPORT_API_KEY") or None
        self._requester = Requester(url, api_key, retries, priority, now)
        self._tiled = TiledDetector(self._requester)
        self._timeout = checked_timeout(timeout)
        self.shown_url = self._requester.shown_url

    def connector(self, http2: bool, verify: Verify) -> Connector:
        """How connections to the service are made; see `Client`."""
        url, proxy = self._requester.url, self._requester.proxy
        secure = "https" in (url.scheme, proxy.url.scheme if proxy else "")
        return Connector(proxy, secure, http2, verify)

    def detect(
        self, photo: Photo, parameters: DetectParameters, timeout: float | None
    ) -> RequestFlow[DetectionResult]:
        """See `Client.detect`."""
        call = self._call(timeout)
        if parameters.tile is not None:
            return (yield from self._tiled.detect(call, photo, parameters))
        body, size = yield from _body_of(photo, parameters.max_side)
        result = yield from self._post_detect(call, parameters, body)
        return result if size is None else restored(result, size)

    def detect_frame(
        self, picture: Image.Image, parameters: DetectParameters, timeout: float | None
    ) -> RequestFlow[DetectionResult]:
        """The objects in a video's frame, which is sent as JPEG: it is not lossless anyway."""
        if parameters.tile is not None:
            return (yield from self.detect(picture, parameters, timeout))
        call = self._call(timeout)
        content = yield Work(lambda: to_compact(fit(picture, parameters.max_side)))
        result = yield from self._post_detect(call, parameters, {"content": content})
        return restored(result, picture.size)

    def classify(
        self, photo: Photo, parameters: ClassifyParameters, timeout: float | None
    ) -> RequestFlow[ClassificationResult]:
        """See `Client.classify`."""
        call = self._call(timeout)
        body, size = yield from _body_of(photo, parameters.max_side)
        result = yield from self._requester.post(
            call, "/v1/classify", parameters.query, lambda: body, ClassificationResult.from_answer
        )
        return result if size is None else replace(result, width=size[0], height=size[1])

    def models(self) -> RequestFlow[list[ModelInfo]]:
        """See `Client.models`."""
        return self._requester.get(self._call(), "/v1/models", _read_models)

    def model(self, name: str) -> RequestFlow[ModelInfo]:
        """See `Client.model`."""
        path = f"/v1/models/{quote(name)}"
        return self._requester.get(self._call(), path, ModelInfo.from_json)

    def start_rollout(self, model: str, mode: str, order: Body) -> RequestFlow[Rollout]:
        """See `Models.shadow` and `Models.canary`."""
        path = f"/v1/models/{_version_path(model)}/{mode}"
        body = {"json": order}
        return self._requester.post(self._call(), path, "", lambda: body, Rollout.from_json)

    def rollout(self, model: str) -> RequestFlow[Rollout]:
        """See `Models.rollout`."""
        path = f"/v1/models/{_version_path(model)}/shadow"
        return self._requester.get(self._call(), path, Rollout.from_json)

    def end_rollout(self, model: str, action: str) -> RequestFlow[Rollout]:
        """See `Models.promote` and `Models.abort`."""
        path = f"/v1/models/{_version_path(model)}/{action}"
        yield from self._requester.post(
            self._call(), path, "", lambda: NO_BODY, ModelInfo.from_json
        )
        return (yield from self.rollout(model))

    def health(self) -> RequestFlow[Health]:
        """See `Client.health`."""
        call = self._call(PROBE_SECONDS)
        live = (yield from self._requester.probe(call, "/livez")) is None
        ready = live and (yield from self._requester.probe(call, "/readyz")) is None
        return Health(live, ready)

    def wait_until_ready(self, timeout: float) -> RequestFlow[None]:
        """See `Client.wait_until_ready`."""
        call = self._call(timeout)
        while (failure := (yield from self._requester.probe(call, "/readyz"))) is not None:
            if isinstance(failure, ConnectionFailed) and not failure.retryable:
                raise failure
            if call.remaining <= POLL_SECONDS:
                words = f"{self.shown_url} is not ready after {timeout:g} s: {failure}"
                raise RequestTimedOut(words, call.request_id)
            yield Pause(POLL_SECONDS)

    def _call(self, timeout: float | None = None) -> Call:
        return self._requester.call(self._timeout if timeout is None else timeout)

    def _post_detect(
        self, call: Call, parameters: DetectParameters, body: Body
    ) -> RequestFlow[DetectionResult]:
        read = DetectionResult.from_answer
        return self._requester.post(call, "/v1/detect", parameters.query, lambda: body, read)


def _body_of(
    photo: Photo, max_side: int | None
) -> RequestFlow[tuple[Body, tuple[int, int] | None]]:
    """The request's body; and the photo's (width, height) if it may have been shrunk."""
    if max_side is not None:
        side = max_side
        shrunk: Shrunk = yield Work(lambda: shrink(photo, side))
        return {"content": shrunk.content}, shrunk.size
    if is_url(photo):
        return {"json": {"images": [{"url": to_url(photo)}]}}, None
    if isinstance(photo, bytes):
        return {"content": to_bytes(photo)}, None  # at once: there is nothing to read
    content = yield Work(lambda: to_bytes(photo))
    return {"content": content}, None


def _version_path(model: str) -> str:
    """Of ``model``, name/version, in a URL; raises ValueError if it names no version."""
    name, _, version = model.partition("/")
    if not name or not version:
        raise ValueError(f"{model!r} names no version; give name/version, such as pets/2")
    return f"{quote(name, safe='')}/{quote(version, safe='')}"


def _read_models(answer: Mapping[str, Any]) -> list[ModelInfo]:
    return [ModelInfo.from_json(model) for model in answer["models"]]

"""The client: a photo in, a typed result out.

    photo ─ build_request ─► httpx ─ read_answer ─► result

The two functions know nothing of the connection, so that another kind of client can share them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Union

import httpx

from boxport_client.errors import ApiError, ConnectionFailed, RequestTimedOut
from boxport_client.photos import Photo, to_bytes
from boxport_client.results import ClassificationResult, DetectionResult, ModelInfo

Parameter = Union[str, float, int, Sequence[str], None]
POLL_SECONDS = 0.2


class Client:
    """Asks one service. Keeps its connections open between calls; safe for several threads.

    url: where the service is, such as "http://localhost:3000".
    timeout: seconds to wait for each answer.
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self._http = httpx.Client(
            base_url=url, timeout=timeout, headers={"User-Agent": "boxport-client"}
        )

    def detect(
        self,
        photo: Photo,
        *,
        model: str | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        class_agnostic: bool | None = None,
        max_detections: int | None = None,
        labels: Sequence[str] | None = None,
    ) -> DetectionResult:
        """Find objects in a photo. What is not given is the model's own default.

        model: name, or name/version.
        score_threshold: 0..1; detections must score above it.
        iou_threshold: 0..1; of two boxes of one label that overlap more, the better one stays.
        class_agnostic: whether boxes of different labels compete as well; false if not given.
        max_detections: 1..1000.
        labels: names of the labels to keep.

        Raises PhotoError, ApiError, ConnectionFailed or RequestTimedOut.
        """
        parameters: dict[str, Parameter] = {
            "model": model,
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "class_agnostic": class_agnostic,
            "max_detections": max_detections,
            "labels": labels,
        }
        return DetectionResult.from_answer(self._ask("/v1/detect", photo, parameters))

    def classify(
        self, photo: Photo, *, model: str | None = None, top_k: int | None = None
    ) -> ClassificationResult:
        """Say what a photo shows; the ``top_k`` best classes, or the model's default number.

        Raises PhotoError, ApiError, ConnectionFailed or RequestTimedOut.
        """
        parameters: dict[str, Parameter] = {"model": model, "top_k": top_k}
        return ClassificationResult.from_answer(self._ask("/v1/classify", photo, parameters))

    def models(self) -> list[ModelInfo]:
        """Every model that the service holds."""
        answer = read_answer(self._send(self._http.build_request("GET", "/v1/models")))
        return [ModelInfo.from_json(model) for model in answer["models"]]

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is ready; raises RequestTimedOut after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if self._http.get("/readyz").is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            if time.monotonic() >= deadline:
                raise RequestTimedOut(f"{self._http.base_url} is not ready after {timeout} s")
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, path: str, photo: Photo, parameters: dict[str, Parameter]) -> dict[str, Any]:
        return read_answer(self._send(build_request(self._http, path, photo, parameters)))

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request)
        except httpx.TimeoutException as error:
            raise RequestTimedOut(f"no answer from {request.url}: {error}") from error
        except httpx.TransportError as error:
            raise ConnectionFailed(f"cannot reach {request.url}: {error}") from error


def build_request(
    http: httpx.Client, path: str, photo: Photo, parameters: dict[str, Parameter]
) -> httpx.Request:
    """A POST of one photo as the body, with those parameters that are not None in the query."""
    return http.build_request(
        "POST",
        path,
        content=to_bytes(photo),
        params={name: value for name, value in parameters.items() if value is not None},
        headers={"Content-Type": "application/octet-stream"},  # the service looks at the bytes
    )


def read_answer(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON; raises ApiError for a refusal, the service's or another's on the way."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if response.is_success and isinstance(content, dict):
        return content
    problem = content if isinstance(content, dict) and "code" in content else {}
    raise ApiError(
        status=response.status_code,
        code=problem.get("code", "unknown"),
        detail=problem.get("detail", response.text[:200] or response.reason_phrase),
        retryable=problem.get("retryable", response.status_code in (429, 502, 503, 504)),
        request_id=problem.get("request_id", response.headers.get("x-request-id")),
    )

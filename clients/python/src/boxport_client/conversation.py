"""What is said to a service and how its replies are taken: the one path of every call's requests.

    photo ─ Work ─► bytes ─ Send ─► reply ─ read_answer ─► result
                              ▲        │
                              └─ Pause ┘  while it may help and there are tries and time left

Nothing here has a connection. Each call is a generator of steps, which `Client` takes one after the
other in its thread, and `AsyncClient` on its event loop.
"""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from PIL import Image

from boxport_client.errors import BoxportError, ConnectionFailed, RequestTimedOut
from boxport_client.health import Health
from boxport_client.photos import Photo, is_url, to_bytes
from boxport_client.questions import ClassifyQuestion, DetectQuestion
from boxport_client.replies import read_answer, refusal
from boxport_client.results import ClassificationResult, DetectionResult, ModelInfo
from boxport_client.retries import pause_before_next
from boxport_client.shrinking import (
    Shrunk,
    fit,
    restore_classes,
    restore_detections,
    shrink,
    to_compact,
)
from boxport_client.steps import Conversation, Pause, Reply, Send, Work
from boxport_client.tiled import detect_tiled
from boxport_client.version import __version__

USER_AGENT = f"boxport-client/{__version__} python/{platform.python_version()}"
CONNECT_SECONDS = 5.0  # so that one dead address among several does not use the whole timeout up
PROBE_SECONDS = 5.0  # that a question after the service's health waits at most
POLL_SECONDS = 0.2
# What a service takes as X-Request-Timeout-Ms at most, unless its operator allows more.
MAX_STATED_MS = 60_000
REMEMBERED_URLS = 64

# The connection may be another one next time; what else httpx raises would be the same again.
RETRIED = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)

Body = Mapping[str, Any]  # arguments of httpx.Request
NOTHING: Body = {}
AS_IT_IS = ("Content-Type", "application/octet-stream")  # the service looks at the bytes


class Call:
    """What all tries of one call share: its id, and the moment at which its time is over."""

    def __init__(self, timeout: float, now: Callable[[], float]) -> None:
        self.request_id = uuid.uuid4().hex
        self.timeout = timeout
        self.until = now() + timeout


class Conversations:
    """Those with the service at ``url``; see `Client` for the arguments. Raises ValueError."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        timeout: float,
        retries: int,
        priority: str | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = _checked_url(url)
        self.timeout, self.retries, self._now = _checked_timeout(timeout), retries, now
        if retries < 0:
            raise ValueError(f"retries must be 0 or more, not {retries}")
        self._base = str(self.url).rstrip("/")
        self._headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", "gzip, deflate")]
        if api_key is not None:
            self._headers.append(("Authorization", f"Bearer {_checked_key(api_key)}"))
        if priority is not None:
            self._headers.append(("X-Request-Priority", priority))
        self._urls: dict[str, httpx.URL] = {}
        self._defaults: dict[str, Mapping[str, Any]] = {}

    def detect(
        self, photo: Photo, question: DetectQuestion, timeout: float | None
    ) -> Conversation[DetectionResult]:
        """See `Client.detect`."""
        call = self._begin(timeout)
        if question.tile is not None:
            return (yield from detect_tiled(self, call, photo, question))
        body, size = yield from _prepared(photo, question.max_side)
        reply = yield from self.ask(call, "POST", "/v1/detect", question.query, body)
        result = read_answer(reply, DetectionResult.from_answer, call.request_id)
        return result if size is None else restore_detections(result, size)

    def detect_frame(
        self, picture: Image.Image, question: DetectQuestion, timeout: float | None
    ) -> Conversation[DetectionResult]:
        """The objects in a video's frame. It has lost something already, so it goes as JPEG."""
        if question.tile is not None:
            return (yield from self.detect(picture, question, timeout))
        call = self._begin(timeout)
        content = yield Work(lambda: to_compact(fit(picture, question.max_side)))
        body = {"content": content}
        reply = yield from self.ask(call, "POST", "/v1/detect", question.query, body)
        result = read_answer(reply, DetectionResult.from_answer, call.request_id)
        return restore_detections(result, picture.size)

    def classify(
        self, photo: Photo, question: ClassifyQuestion, timeout: float | None
    ) -> Conversation[ClassificationResult]:
        """See `Client.classify`."""
        call = self._begin(timeout)
        body, size = yield from _prepared(photo, question.max_side)
        reply = yield from self.ask(call, "POST", "/v1/classify", question.query, body)
        result = read_answer(reply, ClassificationResult.from_answer, call.request_id)
        return result if size is None else restore_classes(result, size)

    def models(self) -> Conversation[list[ModelInfo]]:
        """See `Client.models`."""
        call = self._begin(None)
        reply = yield from self.ask(call, "GET", "/v1/models")
        return read_answer(reply, _models_of, call.request_id)

    def model(self, name: str) -> Conversation[ModelInfo]:
        """See `Client.model`."""
        return (yield from self._model(self._begin(None), name))

    def health(self) -> Conversation[Health]:
        """See `Client.health`."""
        call = self._begin(PROBE_SECONDS)
        live = yield from self._probe(call, "/livez")
        ready = live and (yield from self._probe(call, "/readyz"))
        return Health(live, ready)

    def wait_until_ready(self, timeout: float) -> Conversation[None]:
        """See `Client.wait_until_ready`."""
        call = self._begin(timeout)
        while not (yield from self._probe(call, "/readyz")):
            if self.remaining(call) <= POLL_SECONDS:
                raise RequestTimedOut(f"{self.shown} is not ready after {timeout:g} s")
            yield Pause(POLL_SECONDS)

    def defaults(
        self, call: Call, name: str, version: str, sha256: str
    ) -> Conversation[Mapping[str, Any]]:
        """The thresholds of requests that state none, of a model; asked once, then remembered."""
        if sha256 not in self._defaults:
            model = yield from self._model(call, f"{name}/{version}")
            self._defaults[sha256] = model.manifest["defaults"]
        return self._defaults[sha256]

    def remaining(self, call: Call) -> float:
        """Seconds that the call has left."""
        return call.until - self._now()

    def ask(
        self, call: Call, method: str, path: str, query: str = "", body: Body = NOTHING
    ) -> Conversation[Reply]:
        """Send a request until a reply of status 2xx comes, within the call's time.

        Raises what the last try met: ApiError, ConnectionFailed or RequestTimedOut.
        """
        tries, failure = 0, None
        while True:
            remaining = self.remaining(call)
            if remaining <= 0:
                raise failure or self._timed_out(call, tries)
            tries += 1
            request = self._request(call, method, path, query, body, remaining)
            cause = None
            try:
                reply: Reply = yield Send(request, call.until)
            except httpx.RequestError as error:
                failure, cause = self._unanswered(call, error, tries), error
                retryable, retry_after = isinstance(error, RETRIED), None
            else:
                if 200 <= reply.status < 300:
                    return reply
                failure = refused = refusal(reply, call.request_id, tries)
                retryable, retry_after = refused.retryable, refused.retry_after
            pause = None
            if retryable and tries <= self.retries:
                pause = pause_before_next(tries, retry_after, self.remaining(call))
            if pause is None:
                raise failure from cause
            yield Pause(pause)

    def _begin(self, timeout: float | None) -> Call:
        return Call(self.timeout if timeout is None else _checked_timeout(timeout), self._now)

    def _model(self, call: Call, name: str) -> Conversation[ModelInfo]:
        reply = yield from self.ask(call, "GET", f"/v1/models/{quote(name)}")
        return read_answer(reply, ModelInfo.from_json, call.request_id)

    def _probe(self, call: Call, path: str) -> Conversation[bool]:
        """Whether a path replies with 2xx; asked once."""
        remaining = min(PROBE_SECONDS, self.remaining(call))
        if remaining <= 0:
            return False
        request = self._request(call, "GET", path, "", NOTHING, remaining)
        try:
            reply: Reply = yield Send(request, self._now() + remaining)
        except httpx.RequestError:
            return False
        return 200 <= reply.status < 300

    def _request(
        self, call: Call, method: str, path: str, query: str, body: Body, remaining: float
    ) -> httpx.Request:
        stated = max(1, min(MAX_STATED_MS, int(remaining * 1000)))
        headers = [
            *self._headers,
            ("X-Request-ID", call.request_id),
            ("X-Request-Timeout-Ms", str(stated)),
        ]
        if "content" in body:
            headers.append(AS_IT_IS)
        timeouts = {
            "connect": min(CONNECT_SECONDS, remaining),
            "read": remaining,
            "write": remaining,
            "pool": remaining,
        }
        url = self._url(path, query)
        return httpx.Request(method, url, headers=headers, extensions={"timeout": timeouts}, **body)

    def _url(self, path: str, query: str) -> httpx.URL:
        """Parsed once: that costs more than all else that is done for a request here."""
        text = f"{self._base}{path}?{query}" if query else self._base + path
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= REMEMBERED_URLS:
                self._urls.clear()
            url = self._urls[text] = httpx.URL(text)
        return url

    @property
    def shown(self) -> str:
        """The service's address without a password."""
        return str(self.url.copy_with(userinfo=b"")).rstrip("/")

    def _timed_out(self, call: Call, tries: int) -> RequestTimedOut:
        return RequestTimedOut(
            f"no answer from {self.shown} within {call.timeout:g} s", call.request_id, tries
        )

    def _unanswered(self, call: Call, error: httpx.RequestError, tries: int) -> BoxportError:
        connects = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
        late = isinstance(error, httpx.TimeoutException)
        if late and (not connects or self.remaining(call) <= 0):
            return self._timed_out(call, tries)
        words = str(error) or type(error).__name__
        told = f"cannot reach {self.shown}" if connects else f"{self.shown} broke off"
        return ConnectionFailed(f"{told}: {words}", call.request_id, tries)


def _prepared(
    photo: Photo, max_side: int | None
) -> Conversation[tuple[Body, tuple[int, int] | None]]:
    """The request's body; and the photo's size, if it may have been shrunk."""
    if is_url(photo) and max_side is None:
        return {"json": {"images": [{"url": photo}]}}, None
    if max_side is not None:
        side = max_side
        shrunk: Shrunk = yield Work(lambda: shrink(photo, side))
        return {"content": shrunk.content}, shrunk.size
    if isinstance(photo, bytes):
        return {"content": to_bytes(photo)}, None
    content = yield Work(lambda: to_bytes(photo))
    return {"content": content}, None


def _models_of(answer: Mapping[str, Any]) -> list[ModelInfo]:
    return [ModelInfo.from_json(model) for model in answer["models"]]


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535:
        raise ValueError(f"{text!r} is no URL of a service, such as http://localhost:3000")
    if url.query or url.fragment:
        raise ValueError(f"{text!r} must end with the path")
    return url


def _checked_key(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key has characters that no key has, such as spaces; or none")
    return key


def _checked_timeout(timeout: float) -> float:
    if not 0 < timeout < float("inf"):
        raise ValueError(f"timeout must be a number of seconds above 0, not {timeout}")
    return timeout

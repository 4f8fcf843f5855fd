"""Requests to one service: how they are built, when they are sent again, and when they give up.

    bytes ─ Send ─► reply ─ read_answer ─► result
              ▲        │
              └─ Pause ┘  while another try may help and there are tries and time left

Nothing here has a connection: every request is a flow of steps, which `Client` drives in its thread
and `AsyncClient` on its event loop.
"""

from __future__ import annotations

import importlib.util
import platform
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from boxport_client._errors import BoxportError, ConnectionFailed, MissingExtra, RequestTimedOut
from boxport_client._replies import read_answer, refusal
from boxport_client._retries import pause_before_next
from boxport_client._steps import Pause, Reply, RequestFlow, Send
from boxport_client._version import __version__

T = TypeVar("T")
Body = Mapping[str, Any]  # arguments of httpx.Request

USER_AGENT = f"boxport-client/{__version__} python/{platform.python_version()}"
CONNECT_SECONDS = 5.0  # one dead address among several must not use up the whole timeout
PROBE_SECONDS = 5.0  # the longest wait for an answer about the service's health
# Shorter than the 5 s after which uvicorn, which the service runs on, closes an idle connection:
# otherwise a request would now and then meet a connection that is just being closed.
KEEPALIVE_SECONDS = 4.0
# The most that a service takes as X-Request-Timeout-Ms, unless its operator allows more.
MAX_STATED_MS = 60_000
MAX_CACHED_URLS = 64

# Another connection may work; everything else that httpx raises would happen again.
RETRIED = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)
NO_BODY: Body = {}
RAW_BYTES = ("Content-Type", "application/octet-stream")  # the service looks at the bytes itself


class Call:
    """What all tries of one call share: its id and its deadline. ``timeout`` is in seconds."""

    def __init__(self, timeout: float, now: Callable[[], float]) -> None:
        self.request_id = uuid.uuid4().hex
        self.timeout = checked_timeout(timeout)
        self.until = now() + timeout
        self._now = now

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.until - self._now()


class Requester:
    """Makes the requests to the service at ``url``; see `Client`. Raises ValueError."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        retries: int,
        priority: str | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _checked_url(url)
        if retries < 0:
            raise ValueError(f"retries must be 0 or more, not {retries}")
        self._retries, self._now = retries, now
        self._base = str(self._url).rstrip("/")
        self._headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", "gzip, deflate")]
        if api_key is not None:
            self._headers.append(("Authorization", f"Bearer {_checked_key(api_key)}"))
        if priority is not None:
            self._headers.append(("X-Request-Priority", priority))
        self._parsed: dict[str, httpx.URL] = {}

    @property
    def shown_url(self) -> str:
        """The service's address without user name and password."""
        return str(self._url.copy_with(userinfo=b"")).rstrip("/")

    def call(self, timeout: float) -> Call:
        """A call that starts now."""
        return Call(timeout, self._now)

    def get(self, call: Call, path: str, read: Callable[[Any], T]) -> RequestFlow[T]:
        """What ``read`` makes of the JSON at ``path``. Raises as `post` does."""
        return (yield from self._ask(call, read, "GET", path, "", NO_BODY))

    def post(
        self, call: Call, path: str, query: str, body: Body, read: Callable[[Any], T]
    ) -> RequestFlow[T]:
        """What ``read`` makes of the JSON answer, after as many tries as it takes.

        Raises what the last try met: ApiError, ConnectionFailed or RequestTimedOut.
        """
        return (yield from self._ask(call, read, "POST", path, query, body))

    def probe(self, call: Call, path: str) -> RequestFlow[bool]:
        """Whether ``path`` replies with 2xx; asked once."""
        seconds = min(PROBE_SECONDS, call.remaining)
        if seconds <= 0:
            return False
        request = self._request(call, "GET", path, "", NO_BODY, seconds)
        try:
            reply: Reply = yield Send(request, self._now() + seconds)
        except httpx.RequestError:
            return False
        return 200 <= reply.status < 300

    def _ask(
        self, call: Call, read: Callable[[Any], T], method: str, path: str, query: str, body: Body
    ) -> RequestFlow[T]:
        tries, failure = 0, None
        while True:
            remaining = call.remaining
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
                    return read_answer(reply, read, call.request_id)
                failure = refused = refusal(reply, call.request_id, tries)
                retryable, retry_after = refused.retryable, refused.retry_after
            pause = None
            if retryable and tries <= self._retries:
                pause = pause_before_next(tries, retry_after, call.remaining)
            if pause is None:
                raise failure from cause
            yield Pause(pause)

    def _request(
        self, call: Call, method: str, path: str, query: str, body: Body, seconds: float
    ) -> httpx.Request:
        stated_ms = max(1, min(MAX_STATED_MS, int(seconds * 1000)))
        headers = [
            *self._headers,
            ("X-Request-ID", call.request_id),
            ("X-Request-Timeout-Ms", str(stated_ms)),
        ]
        if "content" in body:
            headers.append(RAW_BYTES)
        timeouts = dict.fromkeys(("read", "write", "pool"), seconds)
        timeouts["connect"] = min(CONNECT_SECONDS, seconds)
        url = self._parse(f"{self._base}{path}?{query}" if query else self._base + path)
        return httpx.Request(method, url, headers=headers, extensions={"timeout": timeouts}, **body)

    def _parse(self, text: str) -> httpx.URL:
        """Each URL once: parsing costs more than everything else done for a request here."""
        url = self._parsed.get(text)
        if url is None:
            if len(self._parsed) >= MAX_CACHED_URLS:
                self._parsed.clear()
            url = self._parsed[text] = httpx.URL(text)
        return url

    def _timed_out(self, call: Call, tries: int) -> RequestTimedOut:
        return RequestTimedOut(
            f"no answer from {self.shown_url} within {call.timeout:g} s", call.request_id, tries
        )

    def _unanswered(self, call: Call, error: httpx.RequestError, tries: int) -> BoxportError:
        connecting = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
        late = isinstance(error, httpx.TimeoutException)
        if late and (not connecting or call.remaining <= 0):
            return self._timed_out(call, tries)
        words = str(error) or type(error).__name__
        if connecting:
            words = f"cannot reach {self.shown_url}: {words}"
        else:
            words = f"the connection to {self.shown_url} broke: {words}"
        return ConnectionFailed(words, call.request_id, tries)


def connection_options(http2: bool) -> dict[str, Any]:
    """Arguments of httpx's clients. Raises MissingExtra if HTTP/2 is wanted but not installed.

    As many connections are kept as there are concurrent calls, which callers bound: with a lower
    limit, each call beyond it would open and close one of its own.
    """
    if http2 and importlib.util.find_spec("h2") is None:
        raise MissingExtra("http2=True needs h2: pip install 'boxport-client[http2]'")
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_SECONDS
    )
    return {"http2": http2, "limits": limits}


def checked_timeout(timeout: float) -> float:
    """``timeout``; raises ValueError unless it is a finite number of seconds above 0."""
    if not 0 < timeout < float("inf"):
        raise ValueError(f"timeout must be a number of seconds above 0, not {timeout}")
    return timeout


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535:
        raise ValueError(f"{text!r} is not the URL of a service, such as http://localhost:3000")
    if url.query or url.fragment:
        raise ValueError(f"{text!r} must end with the path: no query, no fragment")
    return url


def _checked_key(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key is empty, or has characters that no key has, such as spaces")
    return key

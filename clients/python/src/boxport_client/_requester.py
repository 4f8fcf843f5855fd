"""Requests to one service: how they are built, when they are sent again, and when they give up.

    bytes ─ Send ─► reply ─ read_answer ─► result
              ▲        │
              └─ Pause ┘  while another try may help and there are tries and time left

Nothing here has a connection: every request is a flow of steps, which `Client` drives in its thread
and `AsyncClient` on its event loop.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from boxport_client._errors import ApiError, BoxportError, RequestTimedOut, Unanswered
from boxport_client._proxies import find_proxy, is_host
from boxport_client._replies import new_request_id, read_reply
from boxport_client._retries import pause_before_next
from boxport_client._steps import Pause, Reply, RequestFlow, Send
from boxport_client._unanswered import connection_failed, timed_out
from boxport_client._version import __version__

T = TypeVar("T")
Body = Mapping[str, Any]  # arguments of httpx.Request

USER_AGENT = f"boxport-client/{__version__} python/{platform.python_version()}"
CONNECT_SECONDS = 5.0  # an address that drops what is sent to it must not use up the whole timeout
PROBE_SECONDS = 5.0  # the longest wait for an answer about the service's health
# The most that a service takes as X-Request-Timeout-Ms, unless its operator allows more.
MAX_STATED_MS = 60_000
MAX_CACHED_URLS = 64

Failure = ApiError | Unanswered
NO_BODY: Body = {}
RAW_BYTES = ("Content-Type", "application/octet-stream")  # the service looks at the bytes itself


class Call:
    """What all tries of one call share: its id and its deadline. ``timeout`` is in seconds."""

    def __init__(self, timeout: float, now: Callable[[], float]) -> None:
        self.request_id = new_request_id()
        self.timeout = checked_timeout(timeout)
        self.until = now() + timeout
        self._now = now

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.until - self._now()


class Requester:
    """Makes the requests to the service at ``url``; see `Client`.

    proxy: through which the environment has them sent.

    Raises ValueError, and what `find_proxy` raises.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        retries: int,
        priority: str | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = _checked_url(url)
        self.proxy = find_proxy(self.url)
        if retries < 0:
            raise ValueError(f"retries must be 0 or more, not {retries}")
        self._retries, self._now = retries, now
        self._base = str(self.url).rstrip("/")
        self._headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", "gzip, deflate")]
        if api_key is not None:
            self._headers.append(("Authorization", f"Bearer {_checked_key(api_key)}"))
        if priority is not None:
            self._headers.append(("X-Request-Priority", priority))
        self._parsed: dict[str, httpx.URL] = {}

    @property
    def shown_url(self) -> str:
        """The service's address without user name and password."""
        return str(self.url.copy_with(userinfo=b"")).rstrip("/")

    def call(self, timeout: float) -> Call:
        """A call that starts now."""
        return Call(timeout, self._now)

    def get(self, call: Call, path: str, read: Callable[[Any], T]) -> RequestFlow[T]:
        """What ``read`` makes of the JSON at ``path``. Raises as `post` does."""
        return (yield from self._ask(call, read, "GET", path, "", lambda: NO_BODY))

    def post(
        self,
        call: Call,
        path: str,
        query: str,
        body: Callable[[], Body],
        read: Callable[[Any], T],
    ) -> RequestFlow[T]:
        """What ``read`` makes of the JSON answer, after as many tries as it takes.

        body: gives the body of each try.

        Raises what the last try met: ApiError, ConnectionFailed or RequestTimedOut.
        """
        return (yield from self._ask(call, read, "POST", path, query, body))

    def probe(self, call: Call, path: str) -> RequestFlow[BoxportError | None]:
        """None if ``path`` replies with 2xx, else what was met; asked once."""
        seconds = min(PROBE_SECONDS, call.remaining)
        if seconds <= 0:
            return self._timed_out(call, 0)
        request = self._request(call, "GET", path, "", NO_BODY, seconds)
        try:
            reply: Reply = yield Send(request, self._now() + seconds)
            read_reply(reply, lambda answer: None, call.request_id, proxy=self.proxy)
        except httpx.RequestError as error:
            return self._unanswered(call, error, 1)
        except ApiError as error:
            return None if 200 <= error.status < 300 else error
        return None

    def _ask(
        self,
        call: Call,
        read: Callable[[Any], T],
        method: str,
        path: str,
        query: str,
        body: Callable[[], Body],
    ) -> RequestFlow[T]:
        tries = 0
        failure: Failure | None = None
        while True:
            remaining = call.remaining
            if remaining <= 0:
                raise failure or self._timed_out(call, tries)
            tries += 1
            request = self._request(call, method, path, query, body(), remaining)
            retry_after = None
            try:
                reply: Reply = yield Send(request, call.until)
                return read_reply(reply, read, call.request_id, tries, self.proxy)
            except httpx.RequestError as error:
                failure = self._unanswered(call, error, tries)
                failure.__cause__ = error
            except ApiError as error:
                failure, retry_after = error, error.retry_after
            pause = None
            if failure.retryable and tries <= self._retries:
                pause = pause_before_next(tries, retry_after, call.remaining)
            if pause is None:
                raise failure
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
        return timed_out(self._asked, call.timeout, call.request_id, tries)

    def _unanswered(self, call: Call, error: httpx.RequestError, tries: int) -> Unanswered:
        late = isinstance(error, httpx.TimeoutException)
        if late and (call.remaining <= 0 or not isinstance(error, httpx.ConnectTimeout)):
            return self._timed_out(call, tries)
        return connection_failed(error, self._asked, call.request_id, tries)

    @property
    def _asked(self) -> str:
        """The service in error messages, with the proxy that may be at fault."""
        through = "" if self.proxy is None else f" through the proxy {self.proxy}"
        return self.shown_url + through


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
    if url.scheme not in ("http", "https") or not is_host(url):
        raise ValueError(f"{text!r} is not the URL of a service, such as http://localhost:3000")
    if url.query or url.fragment:
        raise ValueError(f"{text!r} must end with the path: no query, no fragment")
    return url


def _checked_key(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key is empty, or has characters that no key has, such as spaces")
    return key

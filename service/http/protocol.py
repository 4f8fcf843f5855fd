"""HTTP/1.1 as uvicorn speaks it, but for requests that offer to go on in another protocol.

RFC 9110, 7.8: a server may pass over such an offer, and then answers in HTTP/1.1. The HttpClient of
Java, and so of Spring, makes one (`Upgrade: h2c`) with its first request, and `curl --http2` does.
httptools leaves what follows the head to the new protocol, even if there is none: the request would
have no body (MagicStack/httptools#124, Kludex/uvicorn#2722).
"""

import os
import resource
from collections.abc import Sequence
from typing import Any

import httptools
import uvicorn.config

from service.http.connection import BoundedConnection, ConnectionLimits

PROXIES_VARIABLE = "FORWARDED_ALLOW_IPS"  # uvicorn's
OTHER_FILES = 256  # that a worker has open besides connections
OFFER = (b"upgrade", b"http2-settings")  # headers, and what Connection says of them


class HttpProtocol(BoundedConnection):
    """A connection on which every offer of another protocol is passed over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread = b""  # a request without its offer, and what came after it
        self.parser = self._new_parser()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        while self._unread and not self.transport.is_closing():
            unread, self._unread = self._unread, b""
            super().data_received(unread)

    def on_headers_complete(self) -> None:
        if not self._has_offer():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._has_offer():
            super().on_message_complete()

    def pass_over_offer(self, after_head: bytes) -> None:
        """Have the request whose head has come read again, without its offer."""
        if not self._has_offer():  # CONNECT, which is one by itself
            return
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        head.extend(b"%b: %b" % header for header in self.headers if header[0] not in OFFER)
        self.parser = self._new_parser()
        self._await_head()
        self._unread = b"\r\n".join((*head, b"", after_head))

    def _has_offer(self) -> bool:
        return self.parser.should_upgrade() and any(name in OFFER for name, _ in self.headers)

    def _new_parser(self) -> "_Parser":
        parser = _Parser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        return parser


class _Parser(httptools.HttpRequestParser):
    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._protocol.pass_over_offer(data[offer.args[0] :])


def use_protocol(limits: ConnectionLimits, trusted_proxies: Sequence[str]) -> None:
    """Have the servers that uvicorn starts from now on speak `HttpProtocol` within ``limits``, and
    believe what these proxies say of callers; BentoML, which starts them, has no setting for it.

    uvicorn by itself believes whoever comes from 127.0.0.1, which may be any program's user.
    """
    if trusted_proxies or PROXIES_VARIABLE not in os.environ:
        os.environ[PROXIES_VARIABLE] = ",".join(trusted_proxies)
    HttpProtocol.limits = limits
    _allow_files(limits.max_connections + OTHER_FILES)
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{HttpProtocol.__name__}"


def _allow_files(count: int) -> None:
    """A connection is an open file, of which most systems allow a process 1024 unless it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

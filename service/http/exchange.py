"""One request and its reply, as the gate sees them."""

import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from service.access.keys import Caller
from service.engine.engine import Times
from service.http.routing import OTHER, RouteRow, find_route
from service.inference.deadline import RequestPolicy
from service.telemetry.metrics import OK
from service.telemetry.spans import Stage

# What traces call the engine's stages.
SPAN_NAMES: dict[str, Literal["decode", "queue", "infer"]] = {
    "decode": "decode",
    "queue": "queue",
    "inference": "infer",
}
SCOPE_KEY = "boxport.exchange"
REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID_KEY = REQUEST_ID_HEADER.lower()
_ACCEPTED_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@dataclass
class Exchange:
    """What is known of a request, filled in as it goes on its way.

    headers: by their names in lower case; of several of one name the first.
    model, images: as far as the request has been read.
    times: of each of its images, once it is answered.
    reason: the code of the problem that was replied, or "ok".
    """

    method: str
    path: str
    headers: Mapping[str, str]
    client: str
    request_id: str
    route: RouteRow | None
    caller: Caller | None = None
    model: str | None = None
    images: int = 0
    status: int = 500
    reason: str = OK
    request_bytes: int = 0
    response_bytes: int = 0
    policy: RequestPolicy = field(init=False)  # of a request that brings images
    times: Sequence[Times] = ()
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def begin(cls, scope: dict[str, Any]) -> "Exchange":
        """That of an ASGI ``scope``, which holds it from then on."""
        headers = read_headers(scope["headers"])
        path = scope["path"]
        exchange = cls(
            method=scope["method"],
            path=path,
            headers=headers,
            client=(scope.get("client") or ("", 0))[0],
            request_id=_id_of(headers),
            route=find_route(path),
        )
        scope[SCOPE_KEY] = exchange
        return exchange

    @classmethod
    def of(cls, scope: Any) -> "Exchange":
        """That which the gate began."""
        exchange: Exchange = scope[SCOPE_KEY]
        return exchange

    @property
    def template(self) -> str:
        return self.route.template if self.route else OTHER

    @property
    def stages(self) -> Iterator[Stage]:
        """Where the time of each image went."""
        for image, one in enumerate(self.times):
            started = one.started
            for name, seconds in one.stages.items():
                yield Stage(SPAN_NAMES[name], started, started + seconds, image)
                started += seconds


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI's headers by their names, which are in lower case; of several of one name the first."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers


def _id_of(headers: Mapping[str, str]) -> str:
    """The caller's own id of the request if it sent a harmless one, else a new one."""
    given = headers.get(REQUEST_ID_KEY, "")
    return (
        given if _ACCEPTED_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
    )  # unlikely twice is enough

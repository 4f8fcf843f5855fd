"""What is to be told of one request, by metrics, traces and the access log."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

OK = "ok"  # the reason of what went well
STAGES = ("decode", "queue", "inference")  # of an image, in their order


@dataclass(frozen=True, slots=True)
class Stage:
    """When an image was in a stage, by `time.perf_counter`, and which of its request's it was."""

    name: Literal["decode", "queue", "infer"]
    started: float
    ended: float
    image: int = 0


@dataclass(eq=False, kw_only=True)
class RequestRecord:
    """What is to be told of a request, filled in as it is answered.

    headers: by their names in lower case; of several of one name the first.
    template: of the request's route, never its path or query.
    caller: the name of its key, never the key.
    model, images: as far as the request has been read.
    stages: of its images, once they are answered.
    reason: the code of the problem that was replied, or "ok".
    started: by `time.perf_counter`.
    """

    request_id: str
    method: str
    template: str
    headers: Mapping[str, str]
    caller: str | None = None
    model: str | None = None
    images: int = 0
    stages: Iterable[Stage] = ()
    status: int = 500
    reason: str = OK
    request_bytes: int = 0
    response_bytes: int = 0
    started: float = field(default_factory=time.perf_counter)

"""A request that is being answered, whatever protocol it came by: who asks, how it is scheduled,
what ends it, and what is recorded of it.

`service.http` and `service.grpc` read and write their own messages; all else that every request
passes is here, once.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from service.access.key_file import Scope
from service.engine.answer import Answer
from service.engine.pipelines import Times
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.package import PackageError
from service.problems import Problem, quoted
from service.providers import ProviderError
from service.rollout.rollout import RequestKey
from service.settings import Settings
from service.telemetry.logs import logger, request_id
from service.telemetry.record import RequestRecord, Stage
from service.worker import Worker

REQUEST_ID_HEADER = "X-Request-ID"
TIMEOUT_HEADER = "X-Request-Timeout-Ms"
PRIORITY_HEADER = "X-Request-Priority"
REQUEST_ID_KEY, TIMEOUT_KEY, PRIORITY_KEY = map(
    str.lower, (REQUEST_ID_HEADER, TIMEOUT_HEADER, PRIORITY_HEADER)
)
MAX_TIMEOUT_DIGITS = 12
ACCEPTED_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
CLIENT_GONE, CLIENT_GONE_STATUS = "client_gone", 499
# What traces call the engine's stages.
SPAN_NAMES: dict[str, Literal["decode", "queue", "infer"]] = {
    "decode": "decode",
    "queue": "queue",
    "inference": "infer",
}


@dataclass(eq=False, kw_only=True)
class Request(RequestRecord):
    """A request, what serves it, and its record.

    address: of the caller.
    parameters: what names the model, as ``name`` and ``version``; over HTTP those of the path.
    """

    worker: Worker
    address: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def policy(self) -> RequestPolicy:
        """The deadline, from now on, and the priority; raises Problem if a header is wrong."""
        return read_policy(self.headers, self.worker.settings)

    @property
    def path_reference(self) -> str:
        """The model that `parameters` name, as name or name/version; "" if they name none."""
        parameters = self.parameters
        return "/".join(parameters[key] for key in ("name", "version") if key in parameters)

    def key_for(self, reference: str | None) -> RequestKey | None:
        """What decides which version answers; None if ``reference``, name or name/version, does."""
        if reference is not None and "/" in reference:
            return None
        return RequestKey(self.request_id, self.headers)

    def authorize(self, scope: Scope | None) -> None:
        """Raise Problem unless the caller may make a request that needs ``scope``; None: anybody
        may."""
        if scope is None:
            return
        access = self.worker.access
        caller = access.identify(self.headers)
        self.caller = caller.name if caller else None
        access.authorize(caller, scope, self.address)

    def note_answer(self, answer: Answer) -> None:
        """Record which model answered, and where the time of each image went."""
        self.model = answer.manifest.name
        self.stages = stages_of(answer.times)

    def note_gone(self) -> None:
        """Record that the caller has left, and reads no reply."""
        self.status, self.reason = CLIENT_GONE_STATUS, CLIENT_GONE


@contextmanager
def answering(request: Request) -> Iterator[None]:
    """While the block answers ``request`` a stop of the worker waits for it; then it is recorded,
    whatever has happened."""
    worker = request.worker
    request_id.set(request.request_id)
    worker.lifecycle.in_flight.add(request)
    try:
        yield
    finally:
        worker.lifecycle.in_flight.discard(request)
        worker.recorder.record(request)


def to_problem(error: Exception, request: RequestRecord) -> Problem:
    """``error``, which ended ``request``, in the words of the API."""
    match error:
        case Problem():
            return error.alone()
        case PackageError() | ProviderError():
            return Problem("model_unfit", str(error))
    logger.error("request %s failed", request.request_id, exc_info=error)
    return Problem("internal_error", "The service failed.")


def check_live(worker: Worker) -> None:
    """Raise Problem if the worker is about to end itself."""
    if (fault := worker.watchdog.fault) is not None:
        raise Problem("not_ready", f"The service is about to stop: {fault}.")


def check_ready(worker: Worker) -> None:
    """Raise Problem if the service is starting or stopping."""
    if not worker.lifecycle.is_ready:
        raise Problem("not_ready", "The service is starting or stopping.")


def stages_of(times: Sequence[Times]) -> Iterator[Stage]:
    """The stages of each image, one after the other."""
    for image, one in enumerate(times):
        started = one.started
        for name, seconds in one.stages.items():
            yield Stage(SPAN_NAMES[name], started, started + seconds, image)
            started += seconds


def read_policy(headers: Mapping[str, str], settings: Settings) -> RequestPolicy:
    """The deadline and the priority that ``headers``, their names in lower case, ask for.

    Raises Problem if one is wrong.
    """
    return RequestPolicy(Deadline.after(_timeout_ms(headers, settings) / 1000), _priority(headers))


def choose_id(headers: Mapping[str, str]) -> str:
    """The caller's own id of the request if it sent a harmless one, else a new one."""
    given = headers.get(REQUEST_ID_KEY, "")
    # random enough: that two requests share an id is unlikely, and does no harm
    return given if ACCEPTED_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _timeout_ms(headers: Mapping[str, str], settings: Settings) -> int:
    text = headers.get(TIMEOUT_KEY)
    if text is None:
        return settings.request_timeout_ms
    digits = text.isascii() and text.isdigit() and len(text) <= MAX_TIMEOUT_DIGITS
    number = int(text) if digits else 0
    if number < 1:
        raise Problem(
            "invalid_parameter",
            f"{TIMEOUT_HEADER}: {quoted(text)} is not a whole number of milliseconds, 1 or more.",
        )
    return min(number, settings.max_request_timeout_ms)


def _priority(headers: Mapping[str, str]) -> Priority:
    text = headers.get(PRIORITY_KEY, Priority.INTERACTIVE.value)
    try:
        return Priority(text)
    except ValueError:
        names = " or ".join(priority.value for priority in Priority)
        raise Problem("invalid_parameter", f"{PRIORITY_HEADER}: send {names}.") from None

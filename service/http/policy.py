"""What a request's headers say of how it is to be served."""

from collections.abc import Mapping

from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.problems import Problem
from service.settings import Settings

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
PRIORITY_HEADER = "X-Request-Priority"
TIMEOUT_KEY, PRIORITY_KEY = TIMEOUT_HEADER.lower(), PRIORITY_HEADER.lower()
MAX_DIGITS = 12


def read_policy(headers: Mapping[str, str], settings: Settings) -> RequestPolicy:
    """The deadline and the priority of a request with ``headers``, their names in lower case.

    Raises Problem if one is wrong.
    """
    return RequestPolicy(Deadline.after(_timeout_ms(headers, settings) / 1000), _priority(headers))


def _timeout_ms(headers: Mapping[str, str], settings: Settings) -> int:
    text = headers.get(TIMEOUT_KEY)
    if text is None:
        return settings.request_timeout_ms
    longest = settings.max_request_timeout_ms
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
    if number < 1:
        raise Problem(
            "invalid_parameter",
            f"{TIMEOUT_HEADER}: {text[:40]!r} is no whole number of milliseconds from 1 on.",
        )
    return min(number, longest)


def _priority(headers: Mapping[str, str]) -> Priority:
    text = headers.get(PRIORITY_KEY, Priority.INTERACTIVE.value)
    try:
        return Priority(text)
    except ValueError:
        names = " or ".join(priority.value for priority in Priority)
        raise Problem("invalid_parameter", f"{PRIORITY_HEADER}: send {names}.") from None

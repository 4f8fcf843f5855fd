"""When a call is tried again, and how long it waits before.

A question changes nothing in the service, so it may be asked as often as one likes: whatever kept
the answer away, a refusal that passes or a connection that broke, is tried again while tries and
time are left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

FIRST_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 8.0
# A service that wants to be left alone for longer is left alone: its refusal is raised at once.
MAX_RETRY_AFTER_SECONDS = 60.0
# Of replies that are not the service's own, such as a proxy's, and so do not say it themselves.
RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})


def backoff(tries: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after ``tries`` tries without a hint of the service's own.

    Exponential with full jitter, so that callers who were refused together do not come back
    together: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    # beyond 30 doublings nothing changes but the size of the number
    return uniform(0.0, min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(tries - 1, 30)))


def pause_before_next(
    tries: int,
    retry_after: float | None,
    remaining: float,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Seconds to wait before the next try; None if there can be none.

    tries: how many there were.
    retry_after: what the service asked for, in seconds; at least so long is waited.
    remaining: seconds until the call's deadline, which no pause passes.
    """
    pause = backoff(tries, uniform)
    if retry_after is not None:
        if retry_after > MAX_RETRY_AFTER_SECONDS:
            return None
        pause = min(retry_after + pause, (retry_after + remaining) / 2)
    return pause if pause < remaining else None


def read_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a ``Retry-After`` asks for, from seconds or a date (RFC 9110, 10.2.3).

    None if there is none, or one that cannot be read; 0 for a date that has passed.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (TypeError, ValueError):  # before Python 3.10 the one, since then the other
            return None
        if date.tzinfo is None:  # "-0000", a zone that is not told
            date = date.replace(tzinfo=timezone.utc)
        seconds = (date - (now or datetime.now(timezone.utc))).total_seconds()
        return max(0.0, seconds)
    return seconds if 0 <= seconds < float("inf") else None

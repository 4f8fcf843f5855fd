"""When a call is tried again, and how long it waits before.

A request changes nothing in the service, so it is safe to repeat: after a refusal that may pass or
a broken connection it is sent again while there are tries and time left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

FIRST_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 8.0
# A service that asks for a longer pause is not waited for: its refusal is raised at once.
MAX_RETRY_AFTER_SECONDS = 60.0
# For replies that do not say so themselves, because they are a proxy's and not the service's.
RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})


def backoff(tries: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after ``tries`` tries if the service did not say.

    Exponential with full jitter, so that callers who were refused together do not come back
    together: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    # 30 doublings are beyond every limit, and more would only make a huge number
    return uniform(0.0, min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(tries - 1, 30)))


def pause_before_next(
    tries: int,
    retry_after: float | None,
    remaining: float,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Seconds to wait before the next try; None if there can be none.

    tries: how many there were.
    retry_after: the least pause in seconds, if the service asked for one.
    remaining: seconds until the call's deadline, which no pause may pass.
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
            if date.tzinfo is None:  # "-0000", an unknown time zone
                date = date.replace(tzinfo=timezone.utc)
            seconds = (date - (now or datetime.now(timezone.utc))).total_seconds()
        except (ValueError, OverflowError):  # of a day, a zone or a year that cannot be
            return None
        return max(0.0, seconds)
    return seconds if 0 <= seconds < float("inf") else None

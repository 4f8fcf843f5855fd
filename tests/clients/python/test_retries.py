"""When a call is tried again, and how long it waits before."""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from boxport_client._retries import (
    FIRST_BACKOFF_SECONDS,
    MAX_BACKOFF_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    backoff,
    pause_before_next,
    read_retry_after,
)

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


def longest(low: float, high: float) -> float:
    return high


def shortest(low: float, high: float) -> float:
    return low


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [backoff(tries, longest) for tries in range(1, 9)]
    assert pauses[:4] == [FIRST_BACKOFF_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses[-1] == backoff(5000, longest) == MAX_BACKOFF_SECONDS


def test_jitter_is_full() -> None:
    pauses = [backoff(3) for _ in range(2000)]
    bound = FIRST_BACKOFF_SECONDS * 4
    assert min(pauses) < bound / 20
    assert max(pauses) > bound * 19 / 20
    assert sum(pauses) / len(pauses) == pytest.approx(bound / 2, rel=0.1)


def test_the_service_is_not_asked_before_it_asked_to_be() -> None:
    assert pause_before_next(1, 3.0, 60.0, shortest) == 3.0
    assert pause_before_next(1, 3.0, 60.0, longest) == 3.0 + FIRST_BACKOFF_SECONDS
    assert pause_before_next(1, None, 60.0, longest) == FIRST_BACKOFF_SECONDS


def test_no_pause_passes_the_deadline() -> None:
    assert pause_before_next(1, None, FIRST_BACKOFF_SECONDS, longest) is None
    assert pause_before_next(1, 5.0, 5.0, shortest) is None
    pause = pause_before_next(9, 4.0, 5.0, longest)
    assert pause is not None
    assert 4.0 < pause < 5.0


def test_who_wants_to_be_left_alone_for_long_is_not_asked_again() -> None:
    assert pause_before_next(1, MAX_RETRY_AFTER_SECONDS, 9999.0, shortest) is not None
    assert pause_before_next(1, MAX_RETRY_AFTER_SECONDS + 1, 9999.0, shortest) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Mon, 06 May 2030 07:08:39 -0000", 30.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("Mon, 99 May 2030 99:08:39 GMT", None),
        ("Mon, 06 May 2030 07:08:39 +9999", None),
        ("Mon, 06 May 2030 07:08:39 +99999999999999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Mon, 06 May 99999 07:08:39 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert read_retry_after(text, NOW) == seconds

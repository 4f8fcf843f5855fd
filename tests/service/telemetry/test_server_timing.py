"""Server-Timing reads as the W3C's grammar has it."""

import re

from service.telemetry.server_timing import server_timing

METRIC = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+);dur=([!#$%&'*+.^_`|~0-9A-Za-z-]+)")


def test_stages_in_their_order_in_milliseconds() -> None:
    assert (
        server_timing({"decode": 5.312, "queue": 0.0500001}) == "decode;dur=5.312, queue;dur=0.05"
    )


def test_any_duration_is_a_token() -> None:
    stages = {"decode": 0.0, "queue": 1e-9, "inference": 123_456_789.0, "total": 7}
    parts = [METRIC.fullmatch(part) for part in server_timing(stages).split(", ")]
    assert [float(part[2]) for part in parts if part] == [0, 0, 123_456_789, 7]


def test_no_stages_give_an_empty_value() -> None:
    assert server_timing({}) == ""

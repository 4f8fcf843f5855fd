"""What is known of a request before and after it is answered."""

import re

import pytest

from service.engine.engine import Times
from service.http.exchange import Exchange, read_headers
from service.telemetry.spans import Stage


def begin(*headers: tuple[bytes, bytes]) -> Exchange:
    return Exchange.begin({"method": "GET", "path": "/v1/models", "headers": list(headers)})


def test_of_several_headers_of_one_name_the_first_counts() -> None:
    raw = [(b"x-api-key", b"one"), (b"accept", b"*/*"), (b"x-api-key", b"two")]
    assert read_headers(raw) == {"x-api-key": "one", "accept": "*/*"}


def test_bytes_that_are_no_text_are_read_all_the_same() -> None:
    assert read_headers([(b"x-name", b"caf\xe9")]) == {"x-name": "café"}


def test_a_harmless_id_of_the_caller_is_kept() -> None:
    assert begin((b"x-request-id", b"order-66.a")).request_id == "order-66.a"


@pytest.mark.parametrize("given", [b"", b"two words", b"x" * 129, b"caf\xe9", b"a\r\nb"])
def test_another_id_is_replaced_by_a_new_one(given: bytes) -> None:
    first, second = (begin((b"x-request-id", given)).request_id for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


def test_stages_follow_one_upon_the_other_in_each_image() -> None:
    exchange = begin()
    assert list(exchange.stages) == []
    exchange.times = [Times(1.0, {"queue": 0.5, "decode": 0.25, "inference": 1.0}), Times(2.0)]
    assert list(exchange.stages) == [
        Stage("queue", 1.0, 1.5, 0),
        Stage("decode", 1.5, 1.75, 0),
        Stage("infer", 1.75, 2.75, 0),
    ]

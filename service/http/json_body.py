"""A body's JSON, whose values are counted before any is made."""

from codecs import BOM_UTF8
from typing import Any

import orjson

from service.problems import Problem


def load_json(body: bytes, max_values: int, hint: str = "") -> Any:
    """What ``body`` says; raises Problem if it is no JSON, or has more than ``max_values`` values.

    A list of zeros, two bytes each, becomes many times as large when it is read, on the event loop.
    Texts have few commas and brackets: base64 has none.

    hint: what else to send than so many.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > max_values:
        raise Problem("body_too_large", f"The JSON holds more than {max_values} values{hint}.")
    try:
        return orjson.loads(body.removeprefix(BOM_UTF8))  # RFC 8259, 8.1
    except orjson.JSONDecodeError as error:
        raise Problem("malformed_body", f"The JSON body cannot be read: {error}.") from None

"""Base64 as it is written by many programs."""

import base64

import pytest

from service.http.base64_text import decode_base64

CONTENT = bytes(range(256)) * 2 + b"?>"  # 514 bytes: one sign of padding, and both alphabets' own
TEXT = base64.b64encode(CONTENT).decode()
LINES = base64.encodebytes(CONTENT).decode()
URL_SAFE = base64.urlsafe_b64encode(CONTENT).decode()
PERCENT = TEXT.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        LINES,
        LINES.replace("\n", "\r\n"),
        f"\t {TEXT}\n\n",
        TEXT.rstrip("="),
        URL_SAFE,
        URL_SAFE.rstrip("="),
        f"data:image/jpeg;base64,{TEXT}",
        f"DATA:image/jpeg;BASE64,{LINES}",
        f"data:image/jpeg;name=a.jpg;base64,{PERCENT}",
        f" data:;base64,{URL_SAFE.rstrip('=')}",
    ],
)
def test_every_way_of_writing_it_is_read(text: str) -> None:
    assert decode_base64(text) == CONTENT


def test_nothing_is_no_bytes() -> None:
    assert decode_base64("") == decode_base64("data:image/png;base64,") == b""


@pytest.mark.parametrize(
    "text",
    [
        "hello, world!",
        "ab*d",
        "abcde",
        "YQ==YQ==",
        "+-==",  # of both alphabets
        "caf\u00e9",
        f"data:image/png;base64,{TEXT[:401]}",
        "data:image/svg+xml,%3Csvg/%3E",
    ],
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_base64(text)

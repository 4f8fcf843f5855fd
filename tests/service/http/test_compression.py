"""Text is compressed for callers who ask for it, and whole either way."""

import asyncio
import gzip
from pathlib import Path

import pytest
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Message

from service.http.compression import MIN_BYTES, Compressor, accepts_gzip

TEXT = "cat " * 1000


@pytest.mark.parametrize(
    "accepted",
    ["gzip", "GZIP", "x-gzip", "br, gzip;q=0.2", "*", "deflate, *;q=0.5", "gzip ; q=1.0, identity",
     "identity;q=0.5, gzip"],
)  # fmt: skip
def test_gzip_is_asked_for(accepted: str) -> None:
    assert accepts_gzip(accepted)


@pytest.mark.parametrize(
    "accepted",
    ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "gzip;q=0.5, identity",
     "gzip;q=abc", "gzipped", ";q=1", ",,;,"],
)  # fmt: skip
def test_gzip_is_not_asked_for(accepted: str) -> None:
    assert not accepts_gzip(accepted)


def replied(
    response: Response, accepted: str = "gzip", method: str = "GET"
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a reply."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()  # the caller stays
        raise AssertionError

    scope = {"type": "http", "method": method, "headers": [], "extensions": {}}
    asyncio.run(response(scope, receive, Compressor(accepted, method, send).send))
    start, *parts = messages
    assert not parts[-1].get("more_body")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return headers, b"".join(part["body"] for part in parts)


def test_a_text_is_compressed() -> None:
    headers, body = replied(Response(TEXT, media_type="application/problem+json"))
    assert gzip.decompress(body) == TEXT.encode()
    assert headers["content-length"] == str(len(body))
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")


def test_who_does_not_ask_gets_it_as_it_is() -> None:
    headers, body = replied(Response(TEXT, media_type="text/plain"), "identity")
    assert body == TEXT.encode()
    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding", "caches must keep both"


@pytest.mark.parametrize(
    "response",
    [
        Response("x" * (MIN_BYTES - 1), media_type="text/plain"),
        Response(TEXT, media_type="image/jpeg"),
        Response(TEXT, media_type="application/octet-stream"),
        Response(TEXT, media_type="text/plain", headers={"content-encoding": "br"}),
        Response(TEXT),
    ],
    ids=["short", "picture", "tensors", "compressed", "unknown"],
)
def test_what_is_not_worth_it_is_left_alone(response: Response) -> None:
    headers, body = replied(response)
    assert body == response.body
    assert headers.get("content-encoding") != "gzip"


def test_a_reply_in_parts_is_put_together() -> None:
    parts = (part.encode() for part in TEXT.split(" "))
    headers, body = replied(StreamingResponse(parts, media_type="text/css"))
    assert gzip.decompress(body) == TEXT.replace(" ", "").encode()
    assert headers["content-length"] == str(len(body))


def test_a_file_keeps_its_tag_as_a_weak_one(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(TEXT)
    plain, _ = replied(FileResponse(file), "")
    headers, body = replied(FileResponse(file))
    assert gzip.decompress(body) == TEXT.encode()
    assert headers["etag"] == f"W/{plain['etag']}"
    assert replied(FileResponse(file))[1] == body


def test_head_has_the_headers_of_get_but_for_the_length(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(TEXT)
    headers, body = replied(FileResponse(file), method="HEAD")
    assert body == b""
    assert headers["content-encoding"] == "gzip"
    assert "content-length" not in headers


def test_nothing_has_nothing_to_compress() -> None:
    headers, body = replied(Response(status_code=304, media_type="text/html"))
    assert body == b""
    assert "content-encoding" not in headers

"""The images of a request, in whatever form they come."""

import asyncio
import base64
import quopri
from codecs import BOM_UTF8, BOM_UTF16_LE

import pytest

from service.engine.admission import Admission
from service.engine.engine import Content
from service.http.body import read_request
from service.problems import Problem
from tests.service.http.asgi import begin

PHOTO = bytes(range(256)) * 3


def read(content_type: str, *chunks: bytes, **headers: str) -> list[Content]:
    """The images of a request to /v1/detect whose body comes in ``chunks``."""
    sent = {"content-type": content_type, **headers}
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    context = begin(
        "/v1/detect",
        *((name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()),
        method="POST",
        messages=(*messages, {"type": "http.request"}),
        max_body_bytes=10_000,
    )
    admission = Admission(max_images=9, max_bytes=100_000, max_pixels=1)
    with admission.hold_bytes() as room:
        return asyncio.run(read_request(context, room)).images


def read_file(content: bytes, encoding: str | None) -> Content:
    """The one file of a form that says it is written in ``encoding``."""
    head = 'Content-Disposition: form-data; name="images"; filename="a.jpg"'
    if encoding is not None:
        head += f"\r\nContent-Transfer-Encoding: {encoding}"
    body = b"--x\r\n%b\r\n\r\n%b\r\n--x--\r\n" % (head.encode(), content)
    [image] = read("multipart/form-data; boundary=x", body)
    return image


def test_names_and_boundary_may_be_quoted_or_not() -> None:
    """.NET quotes the boundary, and not the names."""
    head = b"Content-Disposition: form-data; name=images; filename=a.jpg"
    body = b"--x\r\n%b\r\n\r\nabc\r\n--x--\r\n" % head
    assert read('multipart/form-data; boundary="x"', body) == [b"abc"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PHOTO, None),
        (PHOTO, "binary"),
        (base64.b64encode(PHOTO), "base64"),
        (base64.encodebytes(PHOTO), "BASE64"),
        (quopri.encodestring(PHOTO), "quoted-printable"),
    ],
    ids=["as it is", "binary", "base64", "base64 in lines", "quoted-printable"],
)
def test_a_file_in_letters_is_read_as_the_bytes_it_stands_for(
    content: bytes, encoding: str | None
) -> None:
    assert read_file(content, encoding) == PHOTO


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [(b"abcde", "base64", "as base64"), (PHOTO, "x-uuencode", "'x-uuencode' is not known")],
)
def test_letters_that_cannot_be_read_are_named(content: bytes, encoding: str, words: str) -> None:
    problem = read_file(content, encoding)
    assert isinstance(problem, Problem)
    assert problem.code == "invalid_image"
    assert words in problem.detail


def test_a_byte_order_mark_is_no_part_of_the_json() -> None:
    text = '{"images": [{"base64": "AAEC"}]}'
    assert read("application/json", BOM_UTF8 + text.encode()) == [b"\0\1\2"]
    with pytest.raises(Problem, match="UTF-8"):
        read("application/json", BOM_UTF16_LE + text.encode("utf-16-le"))


@pytest.mark.parametrize(
    ("content_type", "length", "code"),
    [
        ("image/jpeg", "10001", "body_too_large"),
        ("image/jpeg", "9" * 5000, "body_too_large"),
        ("text/plain", "3", "unsupported_media_type"),
    ],
)
def test_what_its_head_rules_out_is_refused_before_the_body_has_come(
    content_type: str, length: str, code: str
) -> None:
    with pytest.raises(Problem) as caught:
        read(content_type, b"abc" * 10_000, content_length=length)
    assert caught.value.code == code

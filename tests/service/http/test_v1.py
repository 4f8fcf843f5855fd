"""The images of a request, in whatever form they come."""

import asyncio
import base64
import gzip
import quopri
import zlib
from codecs import BOM_UTF8, BOM_UTF16_LE

import pytest

from service.engine.admission import Admission
from service.engine.answer import Content
from service.http.body import PIECE_BYTES
from service.http.v1 import MAX_FIELDS, _from_multipart, read_request
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.problems import Problem
from service.settings import Settings
from tests.service.http.asgi import begin

PHOTO = bytes(range(256)) * 3


def read(
    content_type: str,
    *chunks: bytes,
    max_body_bytes: int = 10_000,
    max_regions: int = 100,
    **headers: str,
) -> list[Content]:
    """The images of a request to /v1/detect whose body comes in ``chunks``."""
    sent = {"content-type": content_type, **headers}
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    context = begin(
        "/v1/detect",
        *((name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()),
        method="POST",
        messages=(*messages, {"type": "http.request"}),
        max_body_bytes=max_body_bytes,
        max_regions=max_regions,
    )
    admission = Admission(max_images=9, max_bytes=10_000_000, max_decoding=1)
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
    "head",
    [
        "name=\"images\"; filename*=utf-8''%D0%BA%D0%BE%D1%82.jpg",
        "name=\"images\"; FileName*=UTF-8'ru'%D0%BA.jpg\r\nContent-Type: text/plain",
        "name=images; filename*=utf-8''a.jpg; filename=a.jpg",
        'name="images"; filename=""',
        'name="images"; filename="кот.jpg"',
        'name="images"\r\nContent-Type: image/jpeg',
        'name="images"\r\nContent-Type: application/octet-stream',
    ],
)
def test_an_image_is_a_file_however_its_part_says_so(head: str) -> None:
    content = b"\xff" * 2_000_000  # more than a field that is text may have
    body = b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n--x--\r\n"
    sent = body % (head.encode(), content)
    assert read("multipart/form-data; boundary=x", sent, max_body_bytes=3_000_000) == [content]


@pytest.mark.parametrize("kind", ["", "\r\nContent-Type: text/plain"])
def test_an_image_that_is_sent_as_text_is_told_how(kind: str) -> None:
    body = f'--x\r\nContent-Disposition: form-data; name="images"{kind}\r\n\r\na.jpg\r\n--x--'
    with pytest.raises(Problem, match="with a file name"):
        read("multipart/form-data; boundary=x", body.encode())


def test_a_parameter_may_state_its_type() -> None:
    """Spring's clients write it for every part."""
    head = b'Content-Disposition: form-data; name="model"\r\nContent-Type: application/json'
    photo = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\nabc\r\n'
    body = photo + b"--x\r\n%b\r\n\r\nm\r\n--x--" % head
    assert read("multipart/form-data; boundary=x", body) == [b"abc"]


def test_a_form_that_ends_before_its_last_boundary_is_refused_wherever_it_is_cut() -> None:
    head = b'Content-Disposition: form-data; name="images"; filename="a.jpg"'
    part = b"--x\r\n%b\r\n\r\nabc\r\n" % head
    whole = part + part + b"--x--\r\n"
    for size in range(1, len(whole)):
        cut = whole[:size]
        if cut.endswith(b"--x--") or cut.endswith(b"--x--\r"):
            assert read("multipart/form-data; boundary=x", cut) == [b"abc", b"abc"]
            continue
        with pytest.raises(Problem, match="ends before its last boundary") as caught:
            read("multipart/form-data; boundary=x", cut)
        assert caught.value.code == "malformed_body"


def test_others_have_turns_while_a_large_form_is_read() -> None:
    size = 20 * PIECE_BYTES
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body = part + bytes(size) + b"\r\n--x--\r\n"
    turns = 0

    async def read_beside_another() -> int:
        nonlocal turns
        form = "multipart/form-data; boundary=x"
        reading = asyncio.ensure_future(_from_multipart(body, form, Settings(max_images=1)))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        [image], _ = reading.result()
        assert isinstance(image, bytes)
        return len(image)

    assert asyncio.run(read_beside_another()) == size
    assert turns >= size / PIECE_BYTES


def test_a_form_of_too_many_fields_is_refused() -> None:
    field = b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\na\r\n'
    form = "multipart/form-data; boundary=x"
    body = field * (MAX_FIELDS + 5 + 1) + b"--x--\r\n"
    with pytest.raises(Problem, match="Too many fields") as caught:
        read(form, body, max_body_bytes=100_000, max_regions=5)
    assert caught.value.code == "malformed_body"


def test_json_that_is_cut_short_is_refused_wherever_it_is_cut() -> None:
    whole = b'{"images": [{"base64": "AAEC"}], "score_threshold": 0.5}'
    for size in range(len(whole)):
        with pytest.raises(Problem) as caught:
            read("application/json", whole[:size])
        assert caught.value.code == "malformed_body"


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"images": [{"base64": "AAEC"}]}', b"\0\1\2"),
        ("image/jpeg", PHOTO, PHOTO),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=images; filename=a\r\n\r\nabc\r\n--x--",
            b"abc",
        ),
    ],
)
def test_a_compressed_body_is_read_in_every_form(
    content_type: str, body: bytes, expected: bytes
) -> None:
    ways = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}
    for encoding, compress in ways.items():
        packed = compress(body)
        assert read(content_type, packed, content_encoding=encoding) == [expected]
        with pytest.raises(Problem, match="cut short") as caught:
            read(content_type, packed[:-1], content_encoding=encoding)
        assert caught.value.code == "malformed_body"


def test_a_compressed_body_is_limited_by_what_it_holds() -> None:
    with pytest.raises(Problem) as caught:
        read("image/jpeg", gzip.compress(bytes(10_001)), content_encoding="gzip")
    assert caught.value.code == "body_too_large"


def test_an_encoding_that_is_not_read_is_named_before_the_body_has_come() -> None:
    with pytest.raises(Problem, match="'br' is not read; send gzip, deflate or none") as caught:
        read("image/jpeg", b"abc" * 10_000, content_encoding="br")
    assert caught.value.code == "unsupported_media_type"


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


@pytest.mark.parametrize("priority", list(Priority))
def test_images_by_url_are_fetched_for_their_caller_and_its_priority(priority: Priority) -> None:
    """Bulk requests have connections apart, and do not hold up the others."""
    body = b'{"images": [{"url": "http://example.org/"}]}'
    context = begin(
        "/v1/detect",
        (b"content-type", b"application/json"),
        method="POST",
        messages=({"type": "http.request", "body": body},),
    )
    context.worker.fetcher = object()
    context.policy = RequestPolicy(Deadline.after(9), priority)
    admission = Admission(max_images=9, max_bytes=100_000, max_decoding=1)
    with admission.hold_bytes() as room:
        (image,) = asyncio.run(read_request(context, room)).images
    assert image.caller == f"203.0.113.7 {priority.value}"

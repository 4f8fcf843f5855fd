"""Hypothesis strategies: forms and JSON that are valid or nearly so."""

import base64
import json
from collections.abc import Sequence

from hypothesis import strategies as st

NAMES = ("images", "model", "score_threshold", "max_detections", "labels", "top_k", "image", "")
VALUES = ("0.5", "-1", "nan", "1e999", "10", "", "cat", "efficientdet_lite0_voc", "\x00", "ü" * 50)
BOUNDARY = b"x1y2"

names = st.sampled_from(NAMES * 3) | st.text(max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(VALUES)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def json_bodies(images: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """JSON with valid or invalid images, and sometimes no JSON at all."""
    sound = st.sampled_from([base64.b64encode(image).decode() for image in images])
    uri = sound.map(lambda whole: f"data:image/png;base64,{whole}")
    given = st.fixed_dictionaries({"base64": sound | uri | st.text(max_size=20)})
    linked = st.fixed_dictionaries({"url": scalars})
    content = st.fixed_dictionaries(
        {"images": st.lists(st.one_of(given, linked, anything), min_size=1, max_size=4)},
        optional={"model": scalars, "score_threshold": scalars, "labels": anything},
    )
    dumped = content.map(lambda one: json.dumps(one).encode())  # with NaN, which is no JSON
    other = anything.map(lambda one: json.dumps({"images": one}).encode())
    nested = st.integers(1, 3000).map(lambda depth: b'{"images":' + b"[" * depth)
    cut = st.tuples(dumped, st.integers(1, 200)).map(lambda pair: pair[0][: -pair[1]])
    return st.integers(0, 9).flatmap(
        lambda kind: dumped if kind < 7 else st.one_of(cut, nested, other, st.binary(max_size=99))
    )


@st.composite
def forms(draw: st.DrawFn, images: Sequence[bytes]) -> tuple[str, bytes]:
    """A Content-Type and a multipart body, with anything missing or wrong."""
    line = draw(st.sampled_from([b"\r\n"] * 20 + [b"\n", b"", b"\r\n\r\n"]))
    parts = draw(st.lists(_part(images, line), min_size=1, max_size=5))
    body = b"".join(b"--" + BOUNDARY + line + part + line for part in parts)
    end = st.sampled_from([b"--" + BOUNDARY + b"--\r\n"] * 12 + [b"", b"--", b"--" + BOUNDARY])
    body += draw(end)
    if draw(st.integers(0, 5)) == 5:
        body = body[: draw(st.integers(0, len(body)))]
    stated = draw(st.sampled_from(["; boundary=x1y2"] * 20 + ["", "; boundary=", "; boundary=zz"]))
    return f"multipart/form-data{stated}", body


@st.composite
def _part(draw: st.DrawFn, images: Sequence[bytes], line: bytes) -> bytes:
    content = draw(st.sampled_from(images))
    headers = ['Content-Disposition: form-data; name="images"; filename="a.jpg"']
    if draw(st.integers(0, 2)) == 2:
        headers = [f'Content-Disposition: form-data; name="{draw(names)}"']
        content = draw(st.sampled_from([v.encode() for v in VALUES]) | st.binary(max_size=50))
    if draw(st.integers(0, 5)) == 5:
        headers[0] += f'; filename="{draw(st.text(max_size=10))}"'
    if draw(st.booleans()):
        kinds = ("image/jpeg", "application/json", "text/plain; charset=x", "multipart/mixed", "")
        headers.append(f"Content-Type: {draw(st.sampled_from(kinds))}")
    headers = draw(st.sampled_from([headers] * 20 + [[], headers * 2, [*headers, "no colon"]]))
    stated = [header.encode("utf-8", "surrogatepass") for header in headers]
    return line.join([*stated, b"", content])

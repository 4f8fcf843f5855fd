"""JSON is counted before it is read: what is small as text may be large as values."""

import base64
import subprocess
import sys

import pytest

from service.http.json_body import load_json
from service.problems import Problem
from tests.paths import ROOT

LIMIT = 1000
# Peak memory in MB that the refusal of the largest body takes beside the body itself.
PEAK = """
import resource
from service.http.json_body import load_json
from service.problems import Problem

body = b'{"images": [' + b"0," * (32 * 2**20 - 10) + b"0]}"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_json(body, 10_000)
except Problem as problem:
    print(problem.code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    "body",
    [
        b'{"images": [' + b"0," * LIMIT + b"0]}",
        b'{"images": [' + b"{}," * LIMIT + b"0]}",
        b'{"images": [], "x": [' + b"[]," * LIMIT + b"0]}",
        b'{"images":' + b"[" * 2 * LIMIT + b"]" * 2 * LIMIT + b"}",
        b"{" + b",".join(b'"%d":0' % n for n in range(2 * LIMIT)) + b"}",
        b'{"a":' * 2 * LIMIT,
    ],
    ids=["numbers", "objects", "lists", "depth", "members", "depth of objects"],
)
def test_many_values_are_refused_unread(body: bytes) -> None:
    with pytest.raises(Problem, match="holds more than 1000 values") as refused:
        load_json(body, LIMIT)
    assert refused.value.code == "body_too_large"


def test_a_refusal_takes_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, grown = done.stdout.split()
    assert code == "body_too_large"
    assert int(grown) < 8


def test_large_texts_are_few_values() -> None:
    text = base64.b64encode(bytes(10**6)).decode()
    sent = load_json(b'{"images": [{"base64": "%b"}]}' % text.encode(), LIMIT)
    assert sent == {"images": [{"base64": text}]}


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"\xff", b"NaN", b"[1e999]"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Problem, match="The JSON body cannot be read") as refused:
        load_json(body, LIMIT)
    assert refused.value.code == "malformed_body"


def test_a_mark_of_its_encoding_is_no_part_of_it() -> None:
    assert load_json(b"\xef\xbb\xbf{}", LIMIT) == {}

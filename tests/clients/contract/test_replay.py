"""The server of golden replies answers only the requests that the contract states."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.contract import replay
from tests.clients.contract.replay import PHOTOS, Replay, read_cases

GOLDEN = read_cases()
CAT = (PHOTOS / "cat.jpg").read_bytes()
BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
def server() -> Iterator[Replay]:
    with Replay() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: Replay, path: str = "/detect/v1/detect", **given: Any) -> httpx.Response:
    asked: Any = {"content": CAT, "headers": BYTES, **given}
    return httpx.post(server.url + path, **asked)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": "/detect/v1/classify"}, "asked POST /v1/classify, not POST /v1/detect"),
        ({"params": {"top_k": 3}}, "top_k is ['3'], not None"),
        ({"content": CAT[:-1]}, "the body, 38701 bytes of sha256"),
        ({"headers": {}}, "the header content-type is None"),
        ({"headers": {**BYTES, "authorization": "Bearer x"}}, "the header authorization is 'Be"),
        ({"path": "/nothing/v1/detect"}, "there is no case 'nothing'"),
        ({"path": "/detect_labels/v1/detect", "params": {"labels": "bicycle"}}, "labels is ['bic"),
        ({"path": "/url_not_allowed/v1/detect"}, "the body, "),
    ],
)
def test_another_request_is_told_how_it_differs(
    server: Replay, given: dict[str, Any], words: str
) -> None:
    reply = ask(server, **given)
    assert (reply.status_code, reply.json()["code"]) == (400, "contract_broken")
    assert words in reply.json()["detail"]
    assert ask(server).status_code == 200
    *before, last = server.seen
    assert last["differences"] == []
    assert all(seen["differences"] for seen in before)


def test_command_prints_where_it_listens() -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", replay.__file__], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert json.loads(httpx.get(f"{url}/_seen").text) == []
        assert httpx.get(f"{url}/models/v1/models").json() == GOLDEN["models"]["response"]["body"]
    finally:
        process.terminate()
        process.communicate()

"""Clients of the Open Inference Protocol, by the lines of docs/clients.md, find what /v1 finds."""

import asyncio
import base64
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http.aio as triton_aio

from tests.docs.pages import DOCS, block_with
from tests.e2e.server import Server
from tests.e2e.v2_tensors import CLASSIFIER, DETECTOR, encoded
from tests.paths import ROOT
from tests.thirdparty.tools import venv

PAGE = DOCS / "clients.md"


def run_block(python: str | Path, words: str, server: Server) -> tuple[Any, Any]:
    """The boxes and labels that the page's block with ``words`` prints, sent to ``server``."""
    program = block_with(PAGE, "python", words).replace("http://localhost:3000", server.url)
    program = program.replace("localhost:3000", server.url.removeprefix("http://"))
    program = program.replace("localhost:8001", server.grpc)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    boxes, labels = json.loads(f"[{done.stdout.strip().replace('] [', '], [')}]")
    return boxes, labels


def assert_the_cat(server: Server, cat: bytes, boxes: Any, labels: Any) -> None:
    asked = f"{server.url}/v1/detect?model={DETECTOR}&score_threshold=0.4"
    reply = httpx.post(asked, content=cat, headers={"content-type": "image/jpeg"}).json()
    (result,) = reply["results"]
    names = [
        label["name"] for label in httpx.get(f"{server.url}/v1/models/{DETECTOR}").json()["labels"]
    ]
    assert [names[index] for index in labels[0]] == [row["label"] for row in result["detections"]]
    np.testing.assert_allclose(boxes[0], [row["box"] for row in result["detections"]], atol=0.01)


def test_tritonclient(server: Server, cat: bytes) -> None:
    assert_the_cat(server, cat, *run_block(sys.executable, "tritonclient.http", server))


def test_tritonclient_over_grpc(exact_server: Server, cat: bytes) -> None:
    found = run_block(sys.executable, "tritonclient.grpc", exact_server)
    assert_the_cat(exact_server, cat, *found)


def test_tritonclient_with_asyncio(server: Server, cat: bytes) -> None:
    async def ask() -> tuple[Any, Any]:
        address = server.url.removeprefix("http://")
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_config(CLASSIFIER))["max_batch_size"] == 0
            result = await client.infer(
                DETECTOR, [encoded([cat])], parameters={"score_threshold": 0.4}
            )
            return result.as_numpy("boxes"), result.as_numpy("labels")

    assert_the_cat(server, cat, *asyncio.run(ask()))


@pytest.mark.full
@pytest.mark.parametrize(
    ("client", "words"), [("kserve", "InferenceRESTClient"), ("mlserver", "from mlserver")]
)
def test_others(client: str, words: str, server: Server, cat: bytes) -> None:
    python = venv(client) / "python"
    assert_the_cat(server, cat, *run_block(python, words, server))


@pytest.mark.full
def test_kserve_over_grpc(exact_server: Server, cat: bytes) -> None:
    python = venv("kserve") / "python"
    found = run_block(python, "InferenceGRPCClient", exact_server)
    assert_the_cat(exact_server, cat, *found)


MLSERVER = """
import base64, json, sys
import numpy as np
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceRequest

photo = sys.stdin.buffer.read()
text = base64.b64encode(photo)
for tensor in (
    Base64Codec.encode_input("image", [photo, photo]),
    StringCodec.encode_input("image", [text.decode()]),
    NumpyCodec.encode_input("image", np.array([text])),
    NumpyCodec.encode_input("images", np.zeros((1, 320, 320, 3), np.uint8)),
):
    inputs = [
        tensor,
        NumpyCodec.encode_input("iou_threshold", np.array([0.5], np.float32)),
        NumpyCodec.encode_input("max_detections", np.array([3])),
        NumpyCodec.encode_input("class_agnostic", np.array([True])),
    ]
    print(InferenceRequest(inputs=inputs).model_dump_json())
"""


@pytest.mark.full
def test_each_codec_of_mlserver(server: Server, cat: bytes) -> None:
    done = subprocess.run(
        [venv("mlserver") / "python", "-W", "ignore", "-c", MLSERVER],
        input=cat,
        capture_output=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for line, images in zip(lines, (2, 1, 1, 1), strict=True):
        reply = httpx.post(f"{server.url}/v2/models/{DETECTOR}/infer", content=line)
        assert reply.status_code == 200, reply.text
        assert reply.json()["outputs"][0]["shape"] == [images]


@pytest.mark.full
@pytest.mark.parametrize("model", [DETECTOR, CLASSIFIER])
def test_perf_analyzer(server: Server, cat: bytes, tmp_path: Path, model: str) -> None:
    """By the page's line; it needs a newer C library than some distributions have."""
    program = venv("perf_analyzer") / "perf_analyzer"
    if subprocess.run([program, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("perf_analyzer does not start with this machine's C library")
    content = {"content": {"b64": base64.b64encode(cat).decode()}, "shape": [1]}
    (tmp_path / "photo.json").write_text(json.dumps({"data": [{"image": content}]}))
    line = block_with(PAGE, "sh", "perf_analyzer").replace(DETECTOR, model)
    line = line.replace("localhost:3000", server.url.removeprefix("http://"))
    done = subprocess.run(
        [program, *shlex.split(line)[1:], "--measurement-interval", "2000"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Throughput: " in done.stdout

"""The Open Inference Protocol V2: Triton's own client against a real server."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from service.imaging.images import decode_image
from service.imaging.resize import to_input
from service.manifest import read_manifest
from tests.e2e.server import Server
from tests.e2e.v2_tensors import CLASSIFIER, DETECTOR, array, encoded, wanted

NAMES = ("cat", "coffee", "gravel", "astronaut")
LOW = {"score_threshold": 0.05}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture(scope="module")
def files(photos: Path) -> list[bytes]:
    """Photos with many objects, few and none, of different sizes."""
    return [(photos / f"{name}.jpg").read_bytes() for name in NAMES]


@pytest.fixture(scope="module")
def detected(server: Server, files: list[bytes]) -> list[dict]:
    """What /v1 says of them."""
    return ask_v1(server, "detect", files, model=DETECTOR, **LOW)


def ask_v1(server: Server, task: str, files: list[bytes], **values: Any) -> list[dict]:
    sent = [("images", ("photo", file)) for file in files]
    response = httpx.post(f"{server.url}/v1/{task}", files=sent, data=values, timeout=30)
    assert response.status_code == 200, response.text
    return response.json()["results"]


def assert_detections(
    result: triton.InferResult, expected: list[dict], store: Path, *, named: bool = True
) -> None:
    """``result`` is what /v1 answered, but for a last digit: batches differ."""
    labels = read_manifest(store / DETECTOR / "1" / "manifest.json").labels
    most = max(len(image["detections"]) for image in expected)
    assert result.as_numpy("boxes").shape == (len(expected), most, 4)
    for i, image in enumerate(expected):
        rows = image["detections"]
        number = result.as_numpy("num_detections")[i]
        assert number == len(rows)
        assert result.as_numpy("sizes")[i].tolist() == [image["width"], image["height"]]
        boxes = np.array([row["box"] for row in rows], dtype=np.float32).reshape(-1, 4)
        np.testing.assert_allclose(result.as_numpy("boxes")[i, :number], boxes, atol=0.01)
        scores = np.array([row["score"] for row in rows], dtype=np.float32)
        np.testing.assert_allclose(result.as_numpy("scores")[i, :number], scores, atol=1e-5)
        found = [labels[index] for index in result.as_numpy("labels")[i, :number]]
        assert [label.id for label in found] == [row["label_id"] for row in rows]
        assert not result.as_numpy("scores")[i, number:].any()
        assert (result.as_numpy("labels")[i, number:] == -1).all()
        if named:
            names = [as_text(name) for name in result.as_numpy("label_names")[i]]
            assert names == [row["label"] for row in rows] + [""] * (most - number)


def as_text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode()


def test_health_and_server_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "boxport"
    extensions = ["binary_tensor_data", "model_configuration", "model_repository"]
    assert metadata["extensions"] == extensions


def test_model_metadata_and_readiness(client: triton.InferenceServerClient) -> None:
    for model in (DETECTOR, CLASSIFIER):
        assert client.is_model_ready(model)
        assert client.is_model_ready(model, "1")
        metadata = client.get_model_metadata(model)
        assert metadata == client.get_model_metadata(model, "1")
        assert (metadata["name"], metadata["versions"]) == (model, ["1"])
        assert metadata["platform"] == "onnxruntime_onnx"
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready(DETECTOR, "9")
    with pytest.raises(InferenceServerException, match="model_not_found: ") as caught:
        client.get_model_metadata("nothing")
    assert caught.value.status() == "404"


def test_the_configuration_is_that_of_the_metadata(client: triton.InferenceServerClient) -> None:
    """In the words of Triton's ModelConfig message, as perf_analyzer reads it."""
    for model in (DETECTOR, CLASSIFIER):
        metadata, config = client.get_model_metadata(model), client.get_model_config(model)
        assert config == client.get_model_config(model, "1")
        assert (config["name"], config["max_batch_size"]) == (model, 0)
        assert all(row["optional"] for row in config["input"])
        for tensors, described in (("input", "inputs"), ("output", "outputs")):
            rows = [
                {
                    "name": row["name"],
                    "datatype": row["data_type"].removeprefix("TYPE_").replace("STRING", "BYTES"),
                    "shape": row["dims"],
                }
                for row in config[tensors]
            ]
            assert rows == metadata[described]
    with pytest.raises(InferenceServerException, match="model_not_found: ") as caught:
        client.get_model_config("nothing")
    assert caught.value.status() == "404"


def test_metadata_describes_what_is_answered(
    client: triton.InferenceServerClient, files: list[bytes]
) -> None:
    for model in (DETECTOR, CLASSIFIER):
        described = client.get_model_metadata(model)["outputs"]
        names = [row["name"] for row in described]
        result = client.infer(model, [encoded(files[:2])], outputs=wanted(*names))
        for row in described:
            given = result.get_output(row["name"])
            assert given["datatype"] == row["datatype"]
            assert len(given["shape"]) == len(row["shape"])
            assert all(
                side in (-1, actual)
                for side, actual in zip(row["shape"], given["shape"], strict=True)
            )


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_files_are_answered_as_by_v1(
    client: triton.InferenceServerClient,
    files: list[bytes],
    detected: list[dict],
    store: Path,
    binary_in: bool,
    binary_out: bool,
) -> None:
    names = ("num_detections", "boxes", "scores", "labels", "sizes", "label_names")
    outputs = wanted(*names, binary=binary_out)
    image = encoded(files, binary=binary_in)
    result = client.infer(DETECTOR, [image], outputs=outputs, parameters=LOW, request_id="a7")
    assert result.get_response()["id"] == "a7"
    assert result.get_response()["model_version"] == "1"
    assert [output["name"] for output in result.get_response()["outputs"]] == list(names)
    assert all(("data" in output) != binary_out for output in result.get_response()["outputs"])
    assert sum(len(image["detections"]) for image in detected) > 10
    assert_detections(result, detected, store)


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_are_answered_as_files_that_need_no_resizing(
    client: triton.InferenceServerClient,
    server: Server,
    files: list[bytes],
    store: Path,
    binary: bool,
) -> None:
    spec = read_manifest(store / DETECTOR / "1" / "manifest.json").input
    inputs = [to_input(decode_image(file, 10**8), spec).pixels for file in files[:2]]
    pngs = []
    for pixels in inputs:
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        pngs.append(buffer.getvalue())
    tensors = [
        array("images", np.stack(inputs), "UINT8", binary=binary),
        array("score_threshold", np.array([0.05], np.float32), "FP32", binary=binary),
        array("max_detections", np.array([4]), "INT64", binary=not binary),
    ]
    result = client.infer(DETECTOR, tensors)
    expected = ask_v1(server, "detect", pngs, model=DETECTOR, max_detections=4, **LOW)
    assert {image["width"] for image in expected} == {320}
    assert len(expected[0]["detections"]) == 4
    assert_detections(result, expected, store, named=False)


def test_parameters_do_what_they_do_in_v1(
    client: triton.InferenceServerClient, server: Server, files: list[bytes], store: Path
) -> None:
    values = {"iou_threshold": 0.9, "max_detections": 9, "class_agnostic": True, **LOW}
    for labels in ("person", "person,cat"):
        result = client.infer(
            DETECTOR, [encoded(files)], parameters={**values, "labels": labels}, timeout=20_000_000
        )
        asked = {**values, "model": DETECTOR, "labels": labels.split(",")}
        expected = ask_v1(server, "detect", files, **asked)
        assert sum(len(image["detections"]) for image in expected) > 9
        assert_detections(result, expected, store, named=False)


def test_nothing_found(client: triton.InferenceServerClient, files: list[bytes]) -> None:
    result = client.infer(DETECTOR, [encoded(files)], parameters={"score_threshold": 0.999})
    assert result.as_numpy("num_detections").tolist() == [0] * len(files)
    assert result.as_numpy("boxes").shape == (len(files), 0, 4)


@pytest.mark.parametrize("binary", [True, False])
def test_classes_are_those_of_v1(
    client: triton.InferenceServerClient,
    server: Server,
    files: list[bytes],
    store: Path,
    binary: bool,
) -> None:
    labels = read_manifest(store / CLASSIFIER / "1" / "manifest.json").labels
    outputs = wanted("label_names", "scores", "labels", "probabilities", binary=binary)
    image = encoded(files, binary=binary)
    result = client.infer(CLASSIFIER, [image], outputs=outputs, parameters={"top_k": 3})
    assert result.as_numpy("scores").shape == (len(files), 3)
    for i, answer in enumerate(ask_v1(server, "classify", files, model=CLASSIFIER, top_k=1000)):
        rows = answer["classifications"]
        scores = np.array([row["score"] for row in rows], dtype=np.float32)
        np.testing.assert_allclose(result.as_numpy("scores")[i], scores[:3], atol=1e-5)
        best = [labels[index].id for index in result.as_numpy("labels")[i]]
        assert best == [row["label_id"] for row in rows[:3]]
        names = [as_text(name) for name in result.as_numpy("label_names")[i]]
        assert names == [row["label"] for row in rows[:3]]
        by_id = {row["label_id"]: row["score"] for row in rows}
        every = np.array([by_id[label.id] for label in labels], dtype=np.float32)
        np.testing.assert_allclose(result.as_numpy("probabilities")[i], every, atol=1e-5)


def test_classifier_reads_tensors(
    client: triton.InferenceServerClient, server: Server, files: list[bytes], store: Path
) -> None:
    spec = read_manifest(store / CLASSIFIER / "1" / "manifest.json").input
    pixels = to_input(decode_image(files[1], 10**8), spec).pixels
    result = client.infer(CLASSIFIER, [array("images", pixels[None], "UINT8", binary=True)])
    (expected,) = ask_v1(server, "classify", files[1:2], model=CLASSIFIER)
    scores = [row["score"] for row in expected["classifications"]]
    np.testing.assert_allclose(result.as_numpy("scores")[0], scores, atol=1e-6)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_requests(
    client: triton.InferenceServerClient,
    files: list[bytes],
    detected: list[dict],
    store: Path,
    encoding: str,
) -> None:
    result = client.infer(
        DETECTOR,
        [encoded(files)],
        parameters=LOW,
        request_compression_algorithm=encoding,
        response_compression_algorithm=encoding,
    )
    assert_detections(result, detected, store, named=False)


def test_many_at_once_get_their_own_answers(
    server: Server, files: list[bytes], detected: list[dict], store: Path
) -> None:
    url = server.url.removeprefix("http://")
    with triton.InferenceServerClient(url, concurrency=8) as client:
        pending = [
            client.async_infer(DETECTOR, [encoded(files[i % 4 :][:1])], parameters=LOW)
            for i in range(16)
        ]
        results = [one.get_result() for one in pending]
    for i, result in enumerate(results):
        numbers = result.as_numpy("num_detections").tolist()
        assert numbers == [len(detected[i % 4]["detections"])]
        scores = [row["score"] for row in detected[i % 4]["detections"]]
        np.testing.assert_allclose(result.as_numpy("scores")[0], scores, atol=1e-5)

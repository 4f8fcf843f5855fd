"""The Open Inference Protocol over gRPC: Triton's own clients of both protocols, in pairs, against
one real server. What one of them finds, the other finds, and where one fails, so does the other."""

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from service.imaging.images import decode_image
from service.imaging.resize import to_input
from service.manifest import read_manifest
from tests.e2e.server import Server
from tests.e2e.v2_tensors import CLASSIFIER, DETECTOR

ENSEMBLE = f"{DETECTOR}+{CLASSIFIER}"
LIBRARY = "cygrpc"
LOW = {"score_threshold": 0.05}


@dataclass(frozen=True)
class Side:
    """One of a pair: a protocol, by its client."""

    triton: ModuleType
    client: Any

    def tensor(self, name: str, values: np.ndarray, datatype: str) -> Any:
        made = self.triton.InferInput(name, list(values.shape), datatype)
        made.set_data_from_numpy(values)
        return made

    def photos(self, *files: bytes) -> Any:
        return self.tensor("image", np.array(files, dtype=object), "BYTES")

    def infer(self, model: str, inputs: list[Any], *outputs: str, **asked: Any) -> Any:
        wanted = [self.triton.InferRequestedOutput(name) for name in outputs] or None
        result = self.client.infer(model, inputs, outputs=wanted, **asked)
        names = outputs or NAMES[model]
        return {name: result.as_numpy(name) for name in names}


NAMES = {
    DETECTOR: ("num_detections", "boxes", "scores", "labels", "sizes"),
    CLASSIFIER: ("labels", "scores"),
    ENSEMBLE: ("num_detections", "boxes", "class_labels", "class_scores"),
}


@pytest.fixture(scope="module")
def pair(exact_server: Server) -> Iterator[tuple[Side, Side]]:
    with (
        triton_http.InferenceServerClient(exact_server.url.removeprefix("http://")) as http,
        triton_grpc.InferenceServerClient(exact_server.grpc) as grpc,
    ):
        yield Side(triton_http, http), Side(triton_grpc, grpc)


@pytest.fixture(scope="module")
def files(photos: Path) -> list[bytes]:
    return [(photos / f"{name}.jpg").read_bytes() for name in ("cat", "coffee", "gravel")]


@pytest.fixture(scope="module")
def pixels(store: Path, files: list[bytes]) -> np.ndarray:
    spec = read_manifest(store / DETECTOR / "1" / "manifest.json").input
    return np.stack([to_input(decode_image(file, 10**8), spec).pixels for file in files])


Ask = Callable[[Side, list[bytes], np.ndarray], Any]
CASES: dict[str, Ask] = {
    "files": lambda side, files, _: side.infer(DETECTOR, [side.photos(*files)], parameters=LOW),
    "a version": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0])], model_version="1"
    ),
    "pixels": lambda side, _, pixels: side.infer(
        DETECTOR, [side.tensor("images", pixels, "UINT8")], parameters=LOW
    ),
    "thresholds as tensors": lambda side, files, _: side.infer(
        DETECTOR,
        [
            side.photos(files[0]),
            side.tensor("score_threshold", np.array([0.05], np.float32), "FP32"),
            side.tensor("max_detections", np.array([4]), "INT64"),
            side.tensor("class_agnostic", np.array([True]), "BOOL"),
        ],
    ),
    "parameters": lambda side, files, _: side.infer(
        DETECTOR,
        [side.photos(*files)],
        parameters={**LOW, "labels": "person,cat", "iou_threshold": 0.9, "max_detections": 9},
        timeout=20_000_000,
    ),
    "nothing found": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[2])], parameters={"score_threshold": 0.999}
    ),
    "classes": lambda side, files, _: side.infer(
        CLASSIFIER, [side.photos(*files)], parameters={"top_k": 3}
    ),
    "every output": lambda side, files, _: side.infer(
        CLASSIFIER, [side.photos(files[1])], "labels", "scores", "label_names", "probabilities"
    ),
    "an ensemble": lambda side, files, _: side.infer(ENSEMBLE, [side.photos(files[0])]),
}
FAULTS: dict[str, Ask] = {
    "no such model": lambda side, files, _: side.infer("pets", [side.photos(files[0])], "x"),
    "no such version": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0])], model_version="9"
    ),
    "no image": lambda side, files, _: side.infer(DETECTOR, [side.photos()]),
    "not an image": lambda side, _, __: side.infer(DETECTOR, [side.photos(b"no photo")]),
    "an empty image": lambda side, _, __: side.infer(DETECTOR, [side.photos(b"")]),
    "the second image": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0], b"no photo")]
    ),
    "a wrong shape": lambda side, _, pixels: side.infer(
        DETECTOR, [side.tensor("images", pixels[:, :100], "UINT8")]
    ),
    "a wrong datatype": lambda side, _, pixels: side.infer(
        DETECTOR, [side.tensor("images", pixels.astype(np.float32), "FP32")]
    ),
    "an unknown input": lambda side, _, pixels: side.infer(
        DETECTOR, [side.tensor("pixels", pixels, "UINT8")]
    ),
    "an unknown output": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0])], "masks"
    ),
    "an unknown parameter": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0])], parameters={"threshold": 0.5}
    ),
    "a wrong value": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0])], parameters={"score_threshold": 7.0}
    ),
    "a priority": lambda side, files, _: side.infer(DETECTOR, [side.photos(files[0])], priority=1),
    "too little time": lambda side, files, _: side.infer(
        DETECTOR, [side.photos(files[0])], timeout=1
    ),
    "metadata of no model": lambda side, *_: side.client.get_model_metadata("pets"),
    "configuration of no model": lambda side, *_: side.client.get_model_config("pets"),
    "a load": lambda side, *_: side.client.load_model(DETECTOR),
    "an unload": lambda side, *_: side.client.unload_model(DETECTOR),
}


@pytest.mark.parametrize("case", CASES)
def test_both_find_the_same(
    pair: tuple[Side, Side], files: list[bytes], pixels: np.ndarray, case: str
) -> None:
    http, grpc = (CASES[case](side, files, pixels) for side in pair)
    assert http.keys() == grpc.keys()
    for name, found in http.items():
        assert found.dtype == grpc[name].dtype
        if found.dtype == object:  # HTTP's texts are bytes as well
            assert found.tolist() == grpc[name].tolist()
        else:
            np.testing.assert_allclose(found, grpc[name], atol=1e-4)


@pytest.mark.parametrize("case", FAULTS)
def test_both_fail_alike(
    pair: tuple[Side, Side], files: list[bytes], pixels: np.ndarray, case: str
) -> None:
    told = []
    for side in pair:
        with pytest.raises(InferenceServerException) as caught:
            FAULTS[case](side, files, pixels)
        told.append(caught.value.message())
    http, grpc = told
    if http.startswith("deadline_exceeded"):  # how much was left differs
        http, grpc = (text.partition(":")[0] for text in told)
    assert http == grpc


def test_both_say_what_there_is(pair: tuple[Side, Side]) -> None:
    http, grpc = (side.client for side in pair)
    assert grpc.is_server_live()
    assert grpc.is_server_ready()
    assert grpc.get_server_metadata(as_json=True) == http.get_server_metadata()
    index = grpc.get_model_repository_index(as_json=True)["models"]
    for one, other in zip(index, http.get_model_repository_index(), strict=True):
        assert one == {name: value for name, value in other.items() if value}
    for model in (DETECTOR, CLASSIFIER, ENSEMBLE):
        assert grpc.is_model_ready(model)
        one = grpc.get_model_metadata(model, as_json=True)
        for tensor in (*one["inputs"], *one["outputs"]):
            tensor["shape"] = list(map(int, tensor["shape"]))  # JSON's form of an int64 is text
        assert one == http.get_model_metadata(model)
        config = grpc.get_model_config(model).config
        shown = http.get_model_config(model)
        assert (config.platform, config.max_batch_size) == (shown["platform"], 0)
        assert [tensor.name for tensor in config.input] == [row["name"] for row in shown["input"]]
    assert not grpc.is_model_ready("pets")


def test_a_stream_is_answered_in_order(pair: tuple[Side, Side], files: list[bytes]) -> None:
    http, grpc = pair
    expected = http.infer(DETECTOR, [http.photos(files[0])])["boxes"]
    found: queue.Queue[Any] = queue.Queue()
    grpc.client.start_stream(lambda result, error: found.put((result, error)))
    models = (DETECTOR, "pets", DETECTOR)
    for number, model in enumerate(models):
        grpc.client.async_stream_infer(model, [grpc.photos(files[0])], request_id=str(number))
    replies = [found.get(timeout=60) for _ in models]
    grpc.client.stop_stream()
    for number, (result, error) in enumerate(replies):
        if models[number] == DETECTOR:
            assert error is None
            assert result.get_response().id == str(number)
            np.testing.assert_allclose(result.as_numpy("boxes"), expected, atol=0.01)
        else:
            assert error.message().startswith("model_not_found: ")


def test_calls_are_counted_beside_requests(
    exact_server: Server, pair: tuple[Side, Side], files: list[bytes]
) -> None:
    route = "/inference.GRPCInferenceService/ModelInfer"
    before = exact_server.metrics()
    assert (
        before.get("boxport_requests_total", route=route, model=CLASSIFIER, reason="overloaded")
        == 0
    )
    assert route in before.values("route")
    pair[1].infer(CLASSIFIER, [pair[1].photos(files[1])])
    after = exact_server.metrics()

    def grown(name: str, **labels: str) -> float:
        return after.get(name, **labels) - before.get(name, **labels)

    assert grown("boxport_requests_total", route=route, model=CLASSIFIER, status="200") == 1
    assert grown("boxport_images_total", model=CLASSIFIER, outcome="ok") == 1
    assert grown("boxport_request_seconds_count", route=route) == 1


def test_where_it_is_off_nothing_of_it_is_loaded(server: Server, exact_server: Server) -> None:
    def loaded(worker: psutil.Process) -> bool:
        return any(LIBRARY in mapped.path for mapped in worker.memory_maps())

    assert not any(map(loaded, server.workers))
    assert all(map(loaded, exact_server.workers))
    assert httpx.get(f"{server.url}/readyz", timeout=30).status_code == 200

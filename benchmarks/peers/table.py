"""The servers that Boxport is compared with. To add one, add a folder and a row."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Request

ALL_PROCESSORS, ONE = "0", "1"  # threads of a run
BOUNDARY = "boxport-benchmark"
PREDICT = "/predict"


def raw_body(photo: bytes, path: str = PREDICT) -> Request:
    return _request(path, "image/jpeg", photo)


def form_field(name: str) -> Callable[[bytes, str], Request]:
    """A multipart form with the photo as the file ``name``."""

    def to_request(photo: bytes, path: str) -> Request:
        head = (
            f"--{BOUNDARY}\r\n"
            f'Content-Disposition: form-data; name="{name}"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        body = head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
        return _request(path, f"multipart/form-data; boundary={BOUNDARY}", body)

    return to_request


def v2_json(photo: bytes, path: str) -> Request:
    """A tensor of the Open Inference Protocol with the photo in base64."""
    tensor = {
        "name": "photo",
        "datatype": "BYTES",
        "shape": [1, 1],
        "parameters": {"content_type": "base64"},
        "data": [b64encode(photo).decode()],
    }
    return _request(path, "application/json", json.dumps({"inputs": [tensor]}).encode())


def v2_binary(photo: bytes, path: str) -> Request:
    """The same tensor in the protocol's binary extension: a JSON head, then the photo as it is."""
    element = len(photo).to_bytes(4, "little") + photo
    tensor = {
        "name": "photo",
        "datatype": "BYTES",
        "shape": [1, 1],
        "parameters": {"binary_data_size": len(element)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    request = _request(path, "application/octet-stream", head + element)
    request.headers["Inference-Header-Content-Length"] = str(len(head))
    return request


def _request(path: str, content_type: str, body: bytes) -> Request:
    return Request("photo", "POST", path, {"Content-Type": content_type}, b64encode(body).decode())


@dataclass(frozen=True)
class Peer:
    """Another server.

    name: in the report. folder: below `benchmarks/peers`, with its handler and requirements.txt.
    command: a program of the folder's venv and its arguments; {port} is filled in.
    ready: a path that answers 200 once the server is ready. path: of its API.
    to_request: from a photo's bytes and the path to the request.
    environment: beside the variables that `handler.PhotoModel` reads.
    weights: whether it needs the checkpoint, whose path is then in WEIGHTS.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    ready: str
    path: str = PREDICT
    to_request: Callable[[bytes, str], Request] = raw_body
    environment: Mapping[str, str] = field(default_factory=dict)
    weights: bool = False

    @property
    def home(self) -> Path:
        return Path(__file__).parent / self.folder


UVICORN = ("uvicorn", "app:app", "--port", "{port}", "--log-level", "warning")
BENTOML = ("bentoml", "serve", "app:Photos", "--host", "127.0.0.1", "--port", "{port}")
ONE_THREAD = {"THREADS": ONE}
TORCHSERVE = "/predictions/photos"

PEERS = (
    Peer("FastAPI", "fastapi", UVICORN, "/ready", to_request=form_field("image")),
    Peer(
        "FastAPI, runs of one thread",
        "fastapi",
        UVICORN,
        "/ready",
        to_request=form_field("image"),
        environment=ONE_THREAD,
    ),
    Peer("LitServe", "litserve", ("python", "app.py"), "/health", environment=ONE_THREAD),
    Peer("BentoML, batchable", "bentoml", BENTOML, "/readyz", to_request=form_field("images")),
    Peer(
        "MLServer",
        "mlserver",
        ("python", "start.py"),
        "/v2/models/photos/ready",
        path="/v2/models/photos/infer",
        to_request=v2_json,
        environment=ONE_THREAD,
    ),
    Peer(
        "Triton",
        "triton",
        ("python", "start.py"),
        "/v2/health/ready",
        path="/v2/models/photos/infer",
        to_request=v2_binary,
        environment=ONE_THREAD,
    ),
    Peer("Ray Serve", "ray", ("python", "app.py"), "/-/healthz", environment=ONE_THREAD),
    Peer(
        "TorchServe, ONNX",
        "torchserve",
        ("python", "start.py"),
        "/ping",
        path=TORCHSERVE,
        environment=ONE_THREAD,
    ),
    Peer(
        "TorchServe, eager PyTorch",
        "torchserve",
        ("python", "start.py"),
        "/ping",
        path=TORCHSERVE,
        environment=ONE_THREAD,
        weights=True,
    ),
)

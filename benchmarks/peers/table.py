"""The servers that Boxport is measured beside. A further one is a folder and a row."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Shot

ALL_PROCESSORS, ONE = "0", "1"  # threads of a run
BOUNDARY = "boxport-benchmark"
PREDICT = "/predict"


def raw_body(photo: bytes, path: str = PREDICT) -> Shot:
    return _shot(path, "image/jpeg", photo)


def form_field(name: str) -> Callable[[bytes, str], Shot]:
    """A form with the photo as the file ``name``."""

    def to_shot(photo: bytes, path: str) -> Shot:
        head = (
            f"--{BOUNDARY}\r\n"
            f'Content-Disposition: form-data; name="{name}"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        body = head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
        return _shot(path, f"multipart/form-data; boundary={BOUNDARY}", body)

    return to_shot


def v2_json(photo: bytes, path: str) -> Shot:
    """Base64 in a tensor of the Open Inference Protocol."""
    tensor = {
        "name": "photo",
        "datatype": "BYTES",
        "shape": [1, 1],
        "parameters": {"content_type": "base64"},
        "data": [b64encode(photo).decode()],
    }
    return _shot(path, "application/json", json.dumps({"inputs": [tensor]}).encode())


def _shot(path: str, content_type: str, body: bytes) -> Shot:
    return Shot("photo", "POST", path, {"Content-Type": content_type}, b64encode(body).decode())


@dataclass(frozen=True)
class Peer:
    """A server of others.

    name: in the figures. folder: below `benchmarks/peers`, with its handler and requirements.txt.
    command: within the folder's venv; {port} is filled in.
    path: of its API; to_shot: a photo as its request. ready: a path that answers 200 once it can.
    environment: on top of what `handler.PhotoModel` reads.
    weights: whether it needs the trained weights themselves, in WEIGHTS.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    ready: str
    path: str = PREDICT
    to_shot: Callable[[bytes, str], Shot] = raw_body
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
    Peer("FastAPI", "fastapi", UVICORN, "/ready", to_shot=form_field("image")),
    Peer(
        "FastAPI, runs of one thread",
        "fastapi",
        UVICORN,
        "/ready",
        to_shot=form_field("image"),
        environment=ONE_THREAD,
    ),
    Peer("LitServe", "litserve", ("python", "app.py"), "/health", environment=ONE_THREAD),
    Peer("BentoML, batchable", "bentoml", BENTOML, "/readyz", to_shot=form_field("images")),
    Peer(
        "MLServer",
        "mlserver",
        ("python", "start.py"),
        "/v2/models/photos/ready",
        path="/v2/models/photos/infer",
        to_shot=v2_json,
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

"""Two workers are one service (at length, under load: tests/soak)."""

from pathlib import Path

import httpx
import numpy as np
import tritonclient.grpc as triton

from service.access.key_file import add_entry
from service.access.keys import new_key
from tests.e2e.server import Server, eventually, running_server
from tests.packages import CLASSIFIER, copy_package

PHOTOS = 12
ROUTE = "/inference.GRPCInferenceService/ModelInfer"


def ask_over_grpc(server: Server, key: str, photo: bytes) -> None:
    """By a connection of its own, which the system gives to either worker."""
    alone = [("grpc.use_local_subchannel_pool", 1)]
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([photo], dtype=object))
    with triton.InferenceServerClient(server.grpc, channel_args=alone) as client:
        client.infer("pets", [tensor], headers={"x-api-key": key})


def test_two_workers_are_one_service(tmp_path: Path, store: Path, cat: bytes) -> None:
    copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", 1)
    key, entry = new_key("operator", ["infer", "admin"], None, None)
    add_entry(tmp_path / "keys.json", entry)
    settings = {"model_store": tmp_path / "store", "keys_file": tmp_path / "keys.json"}
    with (
        running_server(tmp_path, **settings, workers=2, grpc=True) as server,
        httpx.Client(
            base_url=server.url,
            headers={"x-api-key": key, "content-type": "image/jpeg"},
            timeout=120,
            limits=httpx.Limits(max_keepalive_connections=0),  # so that either is asked
        ) as client,
    ):
        for _ in range(PHOTOS):
            assert client.post("/v1/classify", content=cat).status_code == 200
            ask_over_grpc(server, key, cat)
        for _ in range(4):
            told = server.metrics(key)
            assert told.get("boxport_images_total", outcome="ok") == 2 * PHOTOS
            assert told.get("boxport_requests_total", route=ROUTE, reason="ok") == PHOTOS
            assert told.get("boxport_request_seconds_count", route="/v1/classify") == PHOTOS
            assert told.get("boxport_workers") == 2
            assert told.get("boxport_sessions", model="pets") == 2
        assert client.post("/v1/models/pets/1/pin").status_code == 200
        victim = server.workers[0]
        victim.kill()
        victim.wait(60)
        ended = {"cause": "died"}  # before that is noticed, the figures are those of before
        eventually(
            lambda: server.metrics(key).get("boxport_worker_ends_total", **ended) == 1,
            "its end is noticed",
        )
        eventually(lambda: client.get("/readyz").status_code == 200, "it is replaced", 180)
        assert server.metrics(key).get("boxport_workers") == 2
        assert victim.pid not in [worker.pid for worker in server.workers]
        for _ in range(8):
            shown = client.get("/v1/models").json()["models"]
            assert [one["status"]["pinned"] for one in shown] == [True], "the new one knows too"
        told = server.metrics(key)
        assert told.get("boxport_images_total", outcome="ok") == 2 * PHOTOS, "nothing is forgotten"
        for _ in range(PHOTOS):  # the new one has its part of the port
            ask_over_grpc(server, key, cat)
        assert told.get("boxport_worker_ends_total", cause="died") == 1

"""A cluster of one replica: what the balancer forwards, its own replies, and the commands."""

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.local_cluster.clusters import (
    STOP_SECONDS,
    LocalCluster,
    cluster_port,
    kill,
    launch,
    running_cluster,
)
from tests.e2e.server import eventually

RATE, FULL = 20, 32
JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, small_store: Path) -> Iterator[LocalCluster]:
    """The last test that asks for it ends it."""
    settings = {"max_images_in_service": FULL, "concurrent_runs": 1, "rate_limit": RATE}
    with running_cluster(tmp_path_factory.mktemp("c"), 1, small_store, **settings) as running:
        yield running


def caller(cluster: LocalCluster, address: str = "127.0.0.1") -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=cluster.url, transport=transport, timeout=60)


@pytest.fixture(scope="module")
def form(photos: Path) -> dict[str, Any]:
    """As many photos as fit into the service, in httpx's form: half a megabyte."""
    return {"files": [("images", ("photo.jpg", (photos / "cat.jpg").read_bytes()))] * FULL}


def test_overload_is_the_services_to_answer(cluster: LocalCluster, form: dict[str, Any]) -> None:
    """It refuses before it has read the body, and the balancer forwards the refusal."""
    with caller(cluster, "127.0.0.2") as client, ThreadPoolExecutor(RATE) as pool:
        asking = [pool.submit(client.post, "/v1/classify", **form) for _ in range(RATE)]
        replies = [future.result() for future in asking]
    assert {reply.status_code for reply in replies} == {200, 503}
    refused = next(reply for reply in replies if reply.status_code == 503)
    assert refused.json()["code"] == "overloaded"
    assert float(refused.headers["retry-after"]) > 0
    assert cluster.status("1") == "UP"


def test_who_hangs_up_is_not_computed_for(cluster: LocalCluster, form: dict[str, Any]) -> None:
    request = httpx.Request("POST", f"{cluster.url}/v1/classify", **form)
    connection = HTTPConnection("127.0.0.1", cluster.port)
    connection.request("POST", "/v1/classify", request.read(), dict(request.headers))
    eventually(lambda: cluster.metrics("1").get("boxport_images_in_service"), "it is in service")
    connection.close()
    eventually(
        lambda: cluster.metrics("1").get("boxport_requests_total", reason="client_gone"),
        "the service knows",
    )


def test_callers_are_known_by_their_own_address(cluster: LocalCluster) -> None:
    with caller(cluster, "127.0.0.3") as client:
        replies = [client.get("/v1/models").status_code for _ in range(5 * RATE)]
        assert 429 in replies
        forged = {"x-forwarded-for": "198.51.100.7"}
        assert 429 in [client.get("/v1/models", headers=forged).status_code for _ in range(RATE)]
    with caller(cluster, "127.0.0.4") as client:
        assert client.get("/v1/models").status_code == 200


def test_request_id_is_the_callers_or_a_new_one(cluster: LocalCluster) -> None:
    with caller(cluster) as client:
        named = client.get("/livez", headers={"x-request-id": "order-7"})
        unfit = client.get("/livez", headers={"x-request-id": "a b"})
        unnamed = client.get("/livez")
    assert named.headers["x-request-id"] == "order-7"
    assert len(unnamed.headers["x-request-id"]) == 36
    assert len(unfit.headers["x-request-id"]) == 36


def test_metrics_are_those_of_each_replica_and_of_the_balancer(cluster: LocalCluster) -> None:
    with caller(cluster) as client:
        refused = client.get("/metrics", headers={"x-request-id": "order-8"})
    assert refused.status_code == 404
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["request_id"] == "order-8"
    assert "boxport_requests_total" in httpx.get(f"{cluster.replica('1')}/metrics").text
    assert 'haproxy_server_status{proxy="replicas",server="1"' in (
        httpx.get(f"{cluster.page}/metrics").text
    )


def test_status_says_who_is_up(cluster: LocalCluster) -> None:
    done = cluster.run("status")
    assert done.returncode == 0, done.stderr
    _, row = done.stdout.splitlines()
    assert row.split()[:2] == ["1", cluster.replica("1")]
    assert row.split()[2] == str(cluster.processes("1")[0].pid)
    assert row.endswith("  up")


def test_last_replica_is_not_rolled(cluster: LocalCluster) -> None:
    before = cluster.processes("1")[0].pid
    done = cluster.run("roll")
    assert done.returncode == 1
    assert done.stderr == "boxport: no replica but 1 is up: none would answer meanwhile\n"
    assert cluster.processes("1")[0].pid == before


def test_second_start_is_refused_in_one_line(cluster: LocalCluster, tmp_path: Path) -> None:
    done = cluster.run("start")
    assert done.returncode == 1
    assert done.stderr.startswith(f"boxport: a cluster runs from {cluster.folder} already")
    assert len(done.stderr.splitlines()) == 1


def test_caller_hears_of_it_when_nobody_is_ready(cluster: LocalCluster, photos: Path) -> None:
    kill(cluster.processes("1"))
    with caller(cluster, "127.0.0.5") as client:
        reply = client.post(
            "/v1/classify",
            content=(photos / "cat.jpg").read_bytes(),
            headers={**JPEG, "x-request-id": "order-9"},
        )
    assert reply.status_code == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["x-request-id"] == "order-9"
    problem = reply.json()
    assert (problem["code"], problem["retryable"]) == ("not_ready", True)
    assert (problem["status"], problem["request_id"]) == (503, "order-9")
    eventually(lambda: not cluster.status("1").startswith("UP"), "the balancer knows", 10)
    assert cluster.run("status").returncode == 1
    cluster.wait_until_up()


def test_end_leaves_nothing_and_nobody_unanswered(
    cluster: LocalCluster, form: dict[str, Any]
) -> None:
    """As on Ctrl-C: what is in service is finished first."""
    replies: list[httpx.Response] = []
    url = f"{cluster.url}/v1/classify"
    asking = threading.Thread(target=lambda: replies.append(httpx.post(url, **form, timeout=60)))
    asking.start()
    eventually(lambda: int(cluster.rows()["1"]["scur"]) > 0, "it is in service")
    inside = cluster.processes("1")
    cluster.process.send_signal(signal.SIGINT)
    asking.join()
    assert cluster.process.wait(STOP_SECONDS) == 0
    assert [reply.status_code for reply in replies] == [200]
    assert not any(process.is_running() for process in inside)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", cluster.port))


def refusal(folder: Path, port: int, store: Path, **settings: object) -> list[str]:
    """The output of a cluster that does not start."""
    process = launch(folder, port, 1, store, **settings)
    try:
        assert process.wait(STOP_SECONDS) == 1
    finally:
        process.terminate()
    return (folder / "said.log").read_text().splitlines()


def test_port_that_is_taken_refuses_the_start_in_one_line(
    tmp_path: Path, small_store: Path
) -> None:
    port = cluster_port(1)
    with socket.create_server(("127.0.0.1", port + 1)):
        (line,) = refusal(tmp_path, port, small_store)
    assert line.startswith(f"boxport: port {port + 1} is not available: ")


def test_wrong_setting_refuses_the_start_in_one_line(tmp_path: Path, small_store: Path) -> None:
    (line,) = refusal(tmp_path, cluster_port(1), small_store, max_images="many")
    assert line.startswith("boxport: BOXPORT_MAX_IMAGES=many: ")


def test_cluster_whose_replicas_cannot_start_ends_and_says_why(tmp_path: Path) -> None:
    lines = refusal(tmp_path, cluster_port(1), tmp_path / "nowhere")
    assert lines[-1].startswith("boxport: no replica can start: boxport: ")
    assert "there is no such folder" in lines[-1]


def test_commands_need_a_cluster(tmp_path: Path) -> None:
    nowhere = LocalCluster(cluster_port(1), 1, tmp_path, None, tmp_path)  # type: ignore[arg-type]
    for command in ("status", "roll"):
        done = nowhere.run(command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"boxport: no cluster runs from {tmp_path}")
        assert len(done.stderr.splitlines()) == 1

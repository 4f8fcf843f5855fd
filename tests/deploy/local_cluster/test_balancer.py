"""The balancer's configuration, in front of replicas that only say that they are ready."""

import collections
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.deploy.local_cluster.clusters import PAGE_OFFSET, cluster_port
from tests.e2e.server import eventually
from tests.paths import ROOT
from tests.tools import need

REPLICAS = (1, 2)


class Replica(BaseHTTPRequestHandler):
    """Ready, and content with whatever it is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Of the balancer, once both replicas are up."""
    port = cluster_port(len(REPLICAS))
    lines = [f"    server {i} 127.0.0.1:{port + i}\n" for i in REPLICAS]
    (tmp_path / "replicas.cfg").write_text(f"backend replicas\n{''.join(lines)}")
    configuration = ROOT / "deploy" / "local-cluster" / "haproxy.cfg"
    environment = {
        "CLUSTER_HOST": "127.0.0.1",
        "CLUSTER_PORT": str(port),
        "CLUSTER_PAGE_PORT": str(port + PAGE_OFFSET),
        "CLUSTER_SILENCE_SECONDS": "60",
        "BOXPORT_ROOT_PATH": "",
    }
    with ExitStack() as stack:
        for i in REPLICAS:
            replica = ThreadingHTTPServer(("127.0.0.1", port + i), Replica)
            threading.Thread(target=replica.serve_forever, args=(0.01,)).start()
            stack.callback(replica.server_close)
            stack.callback(replica.shutdown)
        process = subprocess.Popen(
            [need("haproxy"), "-db", "-f", configuration, "-f", tmp_path / "replicas.cfg"],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        page = f"http://127.0.0.1:{port + PAGE_OFFSET}/;csv"
        eventually(lambda: httpx.get(page).text.count(",UP,") == len(REPLICAS) + 1, "all are up")
        yield f"http://127.0.0.1:{port}"


def test_one_connection_is_answered_by_all_replicas(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        replies = [client.get("/v1/models") for _ in range(10)]
    served = collections.Counter(reply.headers["x-boxport-replica"] for reply in replies)
    assert served == {"1": 5, "2": 5}
    assert not any("set-cookie" in reply.headers for reply in replies)

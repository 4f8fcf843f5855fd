"""The ports, files and environment of a local cluster."""

import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from balancer import BACKEND

from service.settings import read_settings, sources

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE_OFFSET = 100  # from the port of the requests to that of the balancer's page
DRAIN_SECONDS = 3.0  # several of the balancer's health checks; see haproxy.cfg
SPARE_SECONDS = 15  # on top of the longest request
MARK = "CLUSTER_FOLDER"  # environment variable of all processes of a cluster


class ClusterError(Exception):
    """A cluster cannot be started or rolled; the message says why."""


@dataclass(frozen=True)
class Cluster:
    """Several replicas of the service on one machine, behind a load balancer.

    port: of the requests. Replica i listens on 127.0.0.1 at port + i, and the balancer's page is at
        port + 100.
    folder: of logs, sockets and a BENTOML_HOME for each replica.
    """

    port: int
    folder: Path

    @classmethod
    def at(cls, port: int, folder: Path | None) -> "Cluster":
        """The cluster at ``port``, by default in its usual folder."""
        return cls(port, (folder or ROOT / ".bentoml" / f"cluster-{port}").resolve())

    @property
    def page(self) -> str:
        """The URL of the balancer's page."""
        return f"http://127.0.0.1:{self.port + PAGE_OFFSET}"

    @property
    def socket(self) -> Path:
        """The Unix socket of supervisord."""
        return self.folder / "supervisor.sock"

    def url(self, replica: str) -> str:
        """The URL of a replica, by its name."""
        return f"http://127.0.0.1:{self.port + int(replica)}"

    def check_ports(self, host: str, replicas: int) -> None:
        """Raise ClusterError if a port of the cluster is taken.

        HAProxy would not notice: it shares its port with other processes that allow that.
        """
        own = [self.port + i for i in range(1, replicas + 1)] + [self.port + PAGE_OFFSET]
        for address in [(host, self.port), *(("127.0.0.1", port) for port in own)]:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(address)
                except (OSError, OverflowError) as error:
                    raise ClusterError(
                        f"port {address[1]} is not available: {error}; {replicas} replicas on port"
                        f" {self.port} need {own[0]} to {own[-2]} and {own[-1]} as well"
                    ) from error

    def write_replicas(self, replicas: int) -> None:
        """Write the list of replicas, which the balancer reads beside haproxy.cfg."""
        servers = [f"    server {i} 127.0.0.1:{self.port + i}\n" for i in range(1, replicas + 1)]
        (self.folder / "replicas.cfg").write_text(f"backend {BACKEND}\n{''.join(servers)}")

    def environment(self, host: str, replicas: int) -> dict[str, str]:
        """The variables that HAProxy's and supervisord's configurations and the service read.

        Raises SettingsError for a wrong setting, and ClusterError if HAProxy is not installed.
        """
        haproxy = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if haproxy is None:
            raise ClusterError("haproxy is missing: install it, with apt-get or brew")
        settings = read_settings()
        drains = settings.drain_seconds
        if sources()["drain_seconds"] == "default":
            drains = DRAIN_SECONDS
        longest = settings.max_request_timeout_ms / 1000
        return {
            **os.environ,
            MARK: str(self.folder),
            "CLUSTER_HAPROXY": haproxy,
            "CLUSTER_HOST": host,
            "CLUSTER_PAGE_PORT": str(self.port + PAGE_OFFSET),
            "CLUSTER_PORT": str(self.port),
            "CLUSTER_PYTHON": sys.executable,
            "CLUSTER_REPLICAS": str(replicas),
            "CLUSTER_ROOT": str(ROOT),
            "CLUSTER_SILENCE_SECONDS": str(int(longest) + SPARE_SECONDS),
            "CLUSTER_STOP_SECONDS": str(int(drains + longest) + SPARE_SECONDS),
            "BOXPORT_DRAIN_SECONDS": str(drains),
            "BOXPORT_ROOT_PATH": settings.root_path,
            # HAProxy, which overwrites the header
            "BOXPORT_TRUSTED_PROXIES": ",".join((*settings.trusted_proxies, "127.0.0.1")),
            "BENTOML_DO_NOT_TRACK": "True",
        }

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Lock the folder; raises ClusterError if a cluster uses it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ClusterError(
                    f"a cluster runs from {self.folder} already; end it, or take another --port"
                ) from None
            yield

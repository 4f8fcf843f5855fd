"""Real clusters for tests, and a load of real photos on them."""

import csv
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from boxport_client import ClassificationResult, Client, Outcome

from tests.e2e.server import Metrics, eventually, free_port
from tests.paths import ROOT

COMMAND = ROOT / "deploy" / "local-cluster"
START_SECONDS = 180  # on a machine that is busy with other work
STOP_SECONDS = 60
CONCURRENCY = 8
PORTS = range(20_000, 25_000)  # below those that the system gives to callers
PAGE_OFFSET = 100  # from the cluster's port to that of the balancer's page


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster. ``process`` is what a person would have started."""

    port: int
    replicas: int
    folder: Path
    process: subprocess.Popen
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port + PAGE_OFFSET}"

    @property
    def names(self) -> list[str]:
        return [str(i) for i in range(1, self.replicas + 1)]

    def replica(self, name: str) -> str:
        """The URL of a replica."""
        return f"http://127.0.0.1:{self.port + int(name)}"

    def processes(self, name: str) -> list[psutil.Process]:
        """A replica's, the one that was started first, and then its worker."""
        home = str(self.folder / f"replica-{name}")
        found = [
            process
            for process in psutil.process_iter(["environ"])
            if (process.info["environ"] or {}).get("BENTOML_HOME") == home
        ]
        return sorted(found, key=lambda process: process.create_time())

    def rows(self, proxy: str = "replicas") -> dict[str, dict[str, str]]:
        """The balancer's page: a row for each replica, or one FRONTEND for the callers."""
        text = httpx.get(f"{self.page}/;csv", timeout=10).text.removeprefix("# ")
        rows = csv.DictReader(text.splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == proxy}

    def status(self, name: str) -> str:
        return self.rows()[name]["status"]

    def asked(self) -> int:
        """Requests of callers so far."""
        return int(self.rows("callers")["FRONTEND"]["req_tot"])

    def answered(self, name: str) -> float:
        """Photos that a replica says it has answered since its start."""
        return self.metrics(name).get("boxport_requests_total", route="/v1/classify", status="200")

    def metrics(self, name: str) -> Metrics:
        """The metrics of a replica."""
        return Metrics.parse(httpx.get(f"{self.replica(name)}/metrics", timeout=30).text)

    def run(self, command: str) -> subprocess.CompletedProcess:
        """Give a command as a person would."""
        return subprocess.run(
            [sys.executable, COMMAND, command, "--port", str(self.port), "--folder", self.folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )

    def wait_until_up(self, seconds: float = START_SECONDS) -> None:
        eventually(
            lambda: all(self.status(name) == "UP" for name in self.names), "all are up", seconds
        )


def cluster_port(replicas: int) -> int:
    """A port that is free together with all those that a cluster takes beside it."""
    return free_port(*range(1, replicas + 1), PAGE_OFFSET, among=PORTS)


def launch(
    folder: Path, port: int, replicas: int, store: Path, **settings: object
) -> subprocess.Popen:
    """Start a cluster with BOXPORT_ settings; what it says is in ``folder``/said.log."""
    settings = {"model_store": store, "drain_seconds": 1, **settings}
    environment = {
        **os.environ,
        **{f"BOXPORT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, COMMAND, "start", "--replicas", str(replicas)]
    command += ["--port", str(port), "--host", "127.0.0.1", "--folder", folder / "run"]
    with (folder / "said.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )


@contextmanager
def running_cluster(
    folder: Path, replicas: int, store: Path, **settings: object
) -> Iterator[LocalCluster]:
    """A cluster whose replicas are all up, ended as by Ctrl-C."""
    port = cluster_port(replicas)
    process = launch(folder, port, replicas, store, **settings)
    cluster = LocalCluster(port, replicas, folder / "run", process, folder / "said.log")
    try:
        cluster.wait_until_up()
        yield cluster
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # at once
            process.wait(STOP_SECONDS)
            raise


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill them at the same time, as the kernel does when memory is short; they are gone then.

    Until it is gone, the kernel of a killed process still accepts connections in its name.
    """
    for process in processes:
        process.send_signal(signal.SIGSTOP)  # so that none sees the other die
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)


class Load(threading.Thread):
    """Photos that the SDK asks about, one after the other without end, several at a time.

    given: the photos so far. outcomes: what became of them, and when. retries: how many requests it
    took more than photos, known at the end; nobody else may ask meanwhile.
    """

    def __init__(
        self, cluster: LocalCluster, photos: Sequence[Path], concurrency: int = CONCURRENCY
    ) -> None:
        super().__init__()
        self._cluster, self._photos, self._concurrency = cluster, photos, concurrency
        self._over = threading.Event()
        self.retries = 0
        self.given: list[Path] = []
        self.outcomes: list[tuple[float, Outcome[ClassificationResult]]] = []

    def run(self) -> None:
        with Client(self._cluster.url, timeout=60) as client:
            for outcome in client.classify_many(self._endless(), concurrency=self._concurrency):
                self.outcomes.append((time.monotonic(), outcome))

    def __enter__(self) -> "Load":
        self.retries -= self._cluster.asked()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self.retries += self._cluster.asked() - len(self.given)

    def rate(self, seconds: float) -> float:
        """Photos answered a second, over the next ``seconds``."""
        before = len(self.outcomes)
        began = time.monotonic()
        time.sleep(seconds)
        return (len(self.outcomes) - before) / (time.monotonic() - began)

    def longest_gap(self) -> float:
        """Seconds between one outcome and the next."""
        times = [at for at, _ in self.outcomes]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def check(self, expected: dict[Path, ClassificationResult]) -> None:
        """Fail unless each photo was answered once, and as ``expected``.

        Scores may differ by what another batch makes of them.
        """
        assert [outcome.photo for _, outcome in self.outcomes] == self.given
        failed = [outcome.error for _, outcome in self.outcomes if not outcome.ok]
        assert failed == []
        for _, outcome in self.outcomes:
            found, right = outcome.result, expected[outcome.photo]
            assert (found.model, found.width, found.height) == (
                right.model,
                right.width,
                right.height,
            )
            assert [one.label for one in found] == [one.label for one in right]
            for one, other in zip(found, right, strict=True):
                assert abs(one.score - other.score) < 1e-4

    def _endless(self) -> Iterator[Path]:
        for photo in itertools.cycle(self._photos):
            if self._over.is_set():
                return
            self.given.append(photo)
            yield photo


def direct_answers(
    cluster: LocalCluster, photos: Sequence[Path]
) -> dict[Path, ClassificationResult]:
    """Those of the first replica itself, without the balancer."""
    with Client(cluster.replica("1")) as client:
        return {photo: client.classify(photo) for photo in photos}

"""Damaged bodies: each gets an answer or a problem, and no resource grows."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from service.problems import KINDS, MEDIA_TYPE
from tests.e2e.server import Server
from tests.soak.bodies import forms, json_bodies
from tests.soak.mutants import mutants, seeds
from tests.soak.processes import resident_bytes, workers
from tests.soak.results import length, record

BODIES = int(length("BODIES", 20_000))
WARM_UP = 0.1  # of the bodies
SETTLED = 1000  # bodies after which memory no longer grows by first uses
PATHS = ("/v1/detect", "/v1/classify")
# Shares of `BODIES`: in the default suite, and in the soak test.
NUMBERS = [pytest.param(0.005, id="some"), pytest.param(1, id="many", marks=pytest.mark.soak)]
SHARES = {"images": 0.7, "forms": 0.15, "json": 0.15}


class Target:
    """A server under test, whose worker must survive."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = httpx.Client(base_url=server.url, timeout=60)
        (self._worker,) = workers(server)
        self.replies: Counter[str] = Counter()

    def post(self, path: str, content_type: str, body: bytes) -> None:
        """Send ``body`` and check that it is answered, or refused with a known problem."""
        reply = self._client.post(path, content=body, headers={"Content-Type": content_type})
        assert "Traceback" not in reply.text
        if reply.status_code == 200:
            self.replies["ok"] += 1
            return
        assert reply.headers["content-type"] == MEDIA_TYPE, reply.text
        problem = reply.json()
        assert reply.status_code == KINDS[problem["code"]].status < 500, reply.text
        self.replies[problem["code"]] += 1

    @property
    def memory(self) -> int:
        return resident_bytes(self._server)

    def finish(self, kind: str, number: int, settled: int) -> None:
        growth = self.memory / settled - 1
        record(f"hostile {kind}", bodies=number, memory_growth=round(growth, 4), **self.replies)
        assert [worker.pid for worker in workers(self._server)] == [self._worker.pid]
        assert number < SETTLED or growth < 0.05
        log = self._server.log.read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def target(server: Server) -> Iterator[Target]:
    target = Target(server)
    yield target
    target.close()


@pytest.fixture(scope="module")
def files(photos: Path) -> list[bytes]:
    return seeds(photos)


def test_seeds_are_sound(server: Server, files: list[bytes]) -> None:
    """All of them decode, so mutants change files that are otherwise valid."""
    for file in files:
        reply = httpx.post(
            f"{server.url}/v1/classify", content=file, headers={"Content-Type": "image/*"}
        )
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("share", NUMBERS)
def test_damaged_images(target: Target, files: list[bytes], tmp_path: Path, share: float) -> None:
    number = int(BODIES * SHARES["images"] * share)
    settled = target.memory
    for i, body in enumerate(itertools.islice(mutants(files, seed=1), number)):
        try:
            target.post(PATHS[i % 2], "image/*", body)
        except BaseException:
            (tmp_path / "body").write_bytes(body)
            print(f"mutant {i} is in {tmp_path / 'body'}")
            raise
        if i == int(number * WARM_UP):
            settled = target.memory
    target.finish("images", number, settled)


def chosen(number: int) -> settings:
    """The same bodies every time."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("share", NUMBERS)
def test_damaged_forms(target: Target, files: list[bytes], share: float) -> None:
    number = int(BODIES * SHARES["forms"] * share)

    @chosen(number)
    @given(form=forms(files))
    def send(form: tuple[str, bytes]) -> None:
        target.post("/v1/detect", *form)

    send()
    settled = target.memory
    send()
    target.finish("forms", 2 * number, settled)


@pytest.mark.parametrize("share", NUMBERS)
def test_damaged_json(target: Target, files: list[bytes], share: float) -> None:
    number = int(BODIES * SHARES["json"] * share)

    @chosen(number)
    @given(body=json_bodies(files))
    def send(body: bytes) -> None:
        target.post("/v1/detect", "application/json", body)

    send()
    settled = target.memory
    send()
    target.finish("json", 2 * number, settled)

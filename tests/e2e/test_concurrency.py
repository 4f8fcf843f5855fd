"""Many callers at once: each gets the answer that it would have got alone."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server, running_server
from tests.packages import DETECTOR, store_of

JPEG = {"content-type": "image/jpeg"}
NAMES = ("cat", "astronaut", "coffee", "rocket")


def requests(photos: Path) -> list[tuple[str, bytes, dict]]:
    """32 different ones: four photos with eight settings each."""
    settings: list[dict] = [
        {},
        {"score_threshold": 0.02},
        {"score_threshold": 0.2, "max_detections": 3},
        {"score_threshold": 0.02, "iou_threshold": 0.3},
        {"score_threshold": 0.02, "iou_threshold": 0.8, "max_detections": 20},
        {"score_threshold": 0.005, "labels": ["person", "cat"]},
        {"score_threshold": 0.6},
        {"max_detections": 1},
    ]
    return [
        ("/v1/detect", (photos / f"{name}.jpg").read_bytes(), setting)
        for setting in settings
        for name in NAMES
    ]


@pytest.fixture(scope="module")
def batching_server(tmp_path_factory: pytest.TempPathFactory):
    """One runner and large batches, so that the requests below do share their runs."""
    folder = tmp_path_factory.mktemp("batching")
    settings = {"model_store": store_of(folder / "store", DETECTOR), "concurrent_runs": 1}
    with running_server(folder, **settings, max_batch_size=8) as running:
        yield running


async def post_all(server: Server, bodies: list[tuple[str, bytes, dict]]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        return await asyncio.gather(
            *(
                client.post(path, content=content, params=params, headers=JPEG)
                for path, content, params in bodies
            )
        )


def assert_same_answers(together: list[httpx.Response], alone: list[httpx.Response]) -> None:
    for one, other in zip(together, alone, strict=True):
        assert one.status_code == other.status_code == 200, one.text
        (actual,), (expected,) = one.json()["results"], other.json()["results"]
        assert_same_result(actual, expected)


def assert_same_result(actual: dict, expected: dict) -> None:
    assert actual["width"] == expected["width"]
    assert [d["label"] for d in actual["detections"]] == [
        d["label"] for d in expected["detections"]
    ]
    for a, e in zip(actual["detections"], expected["detections"], strict=True):
        assert a["score"] == pytest.approx(e["score"], abs=1e-5)
        assert a["box"] == pytest.approx(e["box"], abs=0.01)


@pytest.mark.parametrize(
    "which", [pytest.param("server", marks=pytest.mark.full), "batching_server"]
)
def test_32_requests_at_once_answer_as_one_by_one(
    request: pytest.FixtureRequest, photos: Path, which: str
) -> None:
    server: Server = request.getfixturevalue(which)
    bodies = requests(photos)
    with httpx.Client(base_url=server.url, timeout=30) as client:
        alone = [client.post(p, content=c, params=q, headers=JPEG) for p, c, q in bodies]
    together = asyncio.run(post_all(server, bodies))
    assert_same_answers(together, alone)
    assert len({r.text.split('"results":')[1].split(',"timing')[0] for r in alone}) > 16


def test_bad_requests_among_good_ones_cost_them_nothing(
    batching_server: Server, photos: Path
) -> None:
    good = requests(photos)[:16]
    with httpx.Client(base_url=batching_server.url, timeout=30) as client:
        alone = [client.post(p, content=c, params=q, headers=JPEG) for p, c, q in good]
    photo = good[0][1]
    bad: list[tuple[str, bytes, dict]] = [
        ("/v1/detect", b"", {}),
        ("/v1/detect", photo[:5000], {}),
        ("/v1/detect", b"not a photo", {}),
        ("/v1/detect", photo, {"score_threshold": 7}),
        ("/v1/detect", photo, {"model": "nothing"}),
        ("/v1/detect", photo, {"labels": "unicorn"}),
    ]
    mixed = [body for i, body in enumerate(good) for body in (body, bad[i % len(bad)])]
    replies = asyncio.run(post_all(batching_server, mixed))
    assert_same_answers(replies[::2], alone)
    assert all(400 <= reply.status_code < 500 for reply in replies[1::2])


async def post_form(server: Server, photos: list[bytes]) -> list[dict]:
    """The results of one request of many photos."""
    files = [("images", ("photo", photo)) for photo in photos]
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        reply = await client.post("/v1/detect", files=files)
    assert reply.status_code == 200, reply.text
    return reply.json()["results"]


def test_one_bad_image_among_16_is_one_error_and_15_answers(
    batching_server: Server, photos: Path
) -> None:
    """While other requests fill the same batches."""
    good = [(photos / f"{NAMES[i % 4]}.jpg").read_bytes() for i in range(16)]
    with httpx.Client(base_url=batching_server.url, timeout=30) as client:
        alone = [client.post("/v1/detect", content=p, headers=JPEG) for p in good[:4]]
    mixed = [*good[:7], good[7][:5000], *good[8:]]

    async def together() -> tuple[list[dict], list[httpx.Response]]:
        others = post_all(batching_server, requests(photos))
        results, replies = await asyncio.gather(post_form(batching_server, mixed), others)
        return results, replies

    results, replies = asyncio.run(together())
    assert {reply.status_code for reply in replies} == {200}
    assert results[7]["error"]["code"] == "invalid_image"
    assert [i for i, result in enumerate(results) if "error" in result] == [7]
    for i, result in enumerate(results):
        if i != 7:
            (expected,) = alone[i % 4].json()["results"]
            assert_same_result(result, expected)


@pytest.mark.full
def test_without_batches_answers_are_the_same_to_the_last_bit(tmp_path: Path, photos: Path) -> None:
    bodies = requests(photos)
    with running_server(tmp_path, max_batch_size=1) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            alone = [client.post(p, content=c, params=q, headers=JPEG) for p, c, q in bodies]
        together = asyncio.run(post_all(server, bodies))
    for one, other in zip(together, alone, strict=True):
        assert one.json()["results"] == other.json()["results"]


def test_overload_is_refused_at_once_and_served_later(strict_server: Server, photos: Path) -> None:
    body = ("/v1/detect", (photos / "cat.jpg").read_bytes(), {})
    replies = asyncio.run(post_all(strict_server, [body] * 40))
    refused = [reply for reply in replies if reply.status_code == 503]
    assert {reply.status_code for reply in replies} == {200, 503}
    assert int(refused[0].headers["retry-after"]) >= 1
    problem = refused[0].json()
    assert (problem["code"], problem["retryable"]) == ("overloaded", True)
    assert asyncio.run(post_all(strict_server, [body]))[0].status_code == 200

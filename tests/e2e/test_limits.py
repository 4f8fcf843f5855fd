"""What cannot be done in time is refused at once, and what nobody waits for is not done."""

import json
import select
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.server import Server, eventually, running_server
from tests.packages import DETECTOR, store_of

JPEG = {"content-type": "image/jpeg"}
FULL = 40  # images in service
SHARE = 20  # of bulk work


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One batch of one image at a time, so that a request of many is slow."""
    folder = tmp_path_factory.mktemp("narrow")
    with running_server(
        folder,
        model_store=store_of(folder / "store", DETECTOR),
        max_batch_size=1,
        concurrent_runs=1,
        decode_threads=1,
        max_images=FULL,
        max_images_in_service=FULL,
        max_bytes_in_service=20_000_000,
    ) as running:
        yield running


def form(photo: bytes, number: int) -> tuple[bytes, str]:
    """A multipart body of so many images, and its content type."""
    files = [("images", ("photo.jpg", photo))] * number
    request = httpx.Request("POST", "http://x", files=files)
    return request.read(), request.headers["content-type"]


def post(server: Server, photo: bytes, number: int = 1, **headers: str) -> httpx.Response:
    body, content_type = form(photo, number)
    headers = {"content-type": content_type, **headers}
    return httpx.post(f"{server.url}/v1/detect", content=body, headers=headers, timeout=120)


def send(server: Server, photo: bytes, number: int, *lines: str) -> socket.socket:
    """A request whose reply nobody has read yet."""
    body, content_type = form(photo, number)
    head = "\r\n".join(
        [
            "POST /v1/detect HTTP/1.1",
            "Host: x",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *lines,
        ]
    )
    connection = socket.create_connection(server.address, timeout=60)
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection


def images_in_service(server: Server) -> float:
    return server.metrics().get("boxport_images_in_service")


def gone(server: Server) -> float:
    """Requests whose caller went before the reply."""
    labels = {"route": "/v1/detect", "reason": "client_gone", "status": "499"}
    return server.metrics().get("boxport_requests_total", **labels)


def wait_for_images(server: Server, number: int) -> None:
    eventually(lambda: images_in_service(server) == number, f"{number} images are in service")


def reply_to(server: Server, *lines: str) -> tuple[str, float]:
    """The reply to a head alone, and the seconds that it took."""
    head = "\r\n".join(["POST /v1/detect HTTP/1.1", "Host: x", "Content-Type: image/jpeg", *lines])
    started = time.perf_counter()
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n")
        received = b""
        while b'"request_id"' not in received and (chunk := connection.recv(65536)):
            received += chunk
    return received.decode(), time.perf_counter() - started


def test_what_is_over_before_it_begins_is_not_run(narrow: Server, cat: bytes) -> None:
    post(narrow, cat)
    before = narrow.metrics()
    reply = post(narrow, cat, **{"X-Request-Timeout-Ms": "1"})
    assert reply.status_code == 504
    assert reply.json()["code"] == "deadline_exceeded"
    assert reply.json()["retryable"] is True
    assert int(reply.headers["retry-after"]) >= 1
    after = narrow.metrics()
    name = "boxport_batch_size_count"
    assert after.get(name) == before.get(name)


def test_the_images_of_one_request_that_come_too_late_say_so(narrow: Server, cat: bytes) -> None:
    for _ in range(10):  # the machine may be twice as fast, or slow, from one to the next
        slow = post(narrow, cat, FULL).json()["timing_ms"]["total"]
        reply = post(narrow, cat, FULL, **{"X-Request-Timeout-Ms": str(round(slow / 2))})
        if reply.status_code != 200:  # by its pace, it would have been late for all
            continue
        results = reply.json()["results"]
        late = [result["error"]["code"] for result in results if "error" in result]
        if 2 < len(late) < FULL - 2:
            break
    assert 2 < len(late) < FULL - 2
    assert set(late) == {"deadline_exceeded"}
    assert reply.json()["timing_ms"]["total"] < 0.9 * slow


def test_a_body_that_never_ends_is_given_up(narrow: Server) -> None:
    reply, seconds = reply_to(narrow, "Content-Length: 1000", "X-Request-Timeout-Ms: 300")
    assert reply.startswith("HTTP/1.1 504 ")
    assert "before the body had come" in reply
    assert seconds >= 0.3


def test_a_wish_that_is_wrong_is_refused_before_the_body(narrow: Server) -> None:
    for line in ("X-Request-Timeout-Ms: soon", "X-Request-Priority: high"):
        reply, _ = reply_to(narrow, "Content-Length: 1000", line)
        assert reply.startswith("HTTP/1.1 422 ")


def test_a_full_service_says_so_before_the_body_has_come(narrow: Server, cat: bytes) -> None:
    with send(narrow, cat, FULL) as slow:
        wait_for_images(narrow, FULL)
        reply, seconds = reply_to(narrow, "Content-Length: 10000000", "Expect: 100-continue")
        assert reply.startswith("HTTP/1.1 503 "), "and no 100 Continue"
        assert "retry-after: " in reply
        assert '"overloaded"' in reply
        assert images_in_service(narrow) == FULL, "while all the others still waited"
        assert slow.recv(12) == b"HTTP/1.1 200"
    assert seconds < 5
    wait_for_images(narrow, 0)
    assert post(narrow, cat).status_code == 200


def test_what_would_not_be_run_in_time_is_refused_at_once(narrow: Server, cat: bytes) -> None:
    post(narrow, cat, 4)  # the pace is known now
    with send(narrow, cat, FULL - 1) as slow:
        wait_for_images(narrow, FULL - 1)
        reply = post(narrow, cat, **{"X-Request-Timeout-Ms": "20"})
        assert reply.status_code == 503, reply.text
        assert "images are before this one" in reply.json()["detail"]
        assert reply.json()["code"] == "overloaded"
        assert slow.recv(12) == b"HTTP/1.1 200"
    wait_for_images(narrow, 0)


def test_bulk_leaves_room_and_gives_way(narrow: Server, cat: bytes) -> None:
    with send(narrow, cat, SHARE, "X-Request-Priority: bulk") as bulk:
        wait_for_images(narrow, SHARE)
        refused, _ = reply_to(narrow, "Content-Length: 1000000", "X-Request-Priority: bulk")
        assert refused.startswith("HTTP/1.1 503 ")
        first = post(narrow, cat)
        still = images_in_service(narrow)
        assert first.status_code == 200
        assert still == SHARE, "somebody who waits was answered before all the bulk"
        assert bulk.recv(12) == b"HTTP/1.1 200"
    wait_for_images(narrow, 0)


def test_a_request_of_more_than_bulk_may_have_is_refused(narrow: Server, cat: bytes) -> None:
    reply = post(narrow, cat, SHARE + 1, **{"X-Request-Priority": "bulk"})
    assert (reply.status_code, reply.json()["code"]) == (413, "too_many_images")


def test_who_goes_frees_the_place_and_is_not_worked_for(narrow: Server, cat: bytes) -> None:
    before, gone_before = narrow.metrics(), gone(narrow)
    connection = send(narrow, cat, FULL)
    wait_for_images(narrow, FULL)
    started = time.perf_counter()
    connection.close()
    wait_for_images(narrow, 0)
    freed = time.perf_counter() - started
    after_going = narrow.metrics()
    assert post(narrow, cat).status_code == 200
    after = narrow.metrics()
    ran = "boxport_batch_size_sum"
    assert after_going.get(ran) - before.get(ran) < FULL / 2
    assert after.get(ran) - after_going.get(ran) <= 2, "the last request, and what was running"
    assert after.get("boxport_queue_images") == 0
    assert gone(narrow) == gone_before + 1
    assert freed < 10


def test_who_goes_while_sending_frees_the_place(narrow: Server, cat: bytes) -> None:
    before = gone(narrow)
    body, content_type = form(cat, 20)
    head = f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
    connection = socket.create_connection(narrow.address, timeout=60)
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:500_000])
    in_flight = "boxport_requests_in_flight"
    eventually(lambda: narrow.metrics().get(in_flight) == 2, "it is inside, and we are")
    connection.close()
    eventually(lambda: narrow.metrics().get(in_flight) == 1, "only we are inside")
    assert gone(narrow) == before + 1


def test_bodies_together_are_bounded(narrow: Server) -> None:
    """Each is smaller than a body may be; one is refused while the others still come."""
    head = "POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    content = f"{head}Content-Length: 9000001\r\n\r\n".encode() + b"x" * 9_000_000
    connections = [socket.create_connection(narrow.address, timeout=60) for _ in range(3)]
    try:
        for connection in connections:
            connection.sendall(content)
        (refused,), _, _ = select.select(connections, [], [], 60)
        assert refused.recv(12) == b"HTTP/1.1 503"
        for connection in connections:
            if connection is refused:
                continue
            connection.sendall(b"x")
            assert connection.recv(12) == b"HTTP/1.1 422", "no image, but read to its end"
    finally:
        for connection in connections:
            connection.close()


def test_a_connection_goes_on_after_a_refusal(narrow: Server, cat: bytes) -> None:
    with httpx.Client(base_url=narrow.url, timeout=60) as client:
        for _ in range(3):
            refused = client.post("/v1/nothing", content=bytes(3_000_000))
            assert refused.status_code == 404
            good = client.post("/v1/detect", content=cat, headers=JPEG)
            assert json.loads(good.text)["results"]

"""Requests of all kinds for a long time: no resource grows."""

import base64
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import LOST, Plan, Request
from benchmarks.load_process import run_load
from tests.e2e.server import running_server
from tests.soak.loads import photo_requests, port_of
from tests.soak.processes import descriptors, watched_memory
from tests.soak.results import length, milliseconds, record

SECONDS = length("ENDURANCE_SECONDS", 600)
REQUESTS = 100_000
WARM_UP = 0.2  # of the time
BOUNDARY = "soak"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
EXPECTED = {
    "good": {200},
    "listing": {200},
    "bad": {400, 404, 405, 415, 422},
    "gone": {LOST},
}


def form(images: list[bytes]) -> bytes:
    head = b'Content-Disposition: form-data; name="images"; filename="a.jpg"'
    line, rule = b"\r\n", b"--" + BOUNDARY.encode()
    return b"".join(line.join([rule, head, b"", i, b""]) for i in images) + rule + b"--" + line


def all_kinds(photos: Path) -> list[Request]:
    """Requests in every form, to both tasks: valid, wrong and aborted ones, and listings."""
    raw = [*photo_requests(photos, "/v1/classify"), *photo_requests(photos, "/v1/detect")]
    files = [base64.b64decode(request.body) for request in raw]
    three = base64.b64encode(form(files[:3])).decode()
    images = [{"base64": base64.b64encode(file).decode()} for file in files[:2]]
    in_json = base64.b64encode(json.dumps({"images": images, "top_k": 3}).encode()).decode()
    json_type = {"Content-Type": "application/json"}
    good = [
        *raw,
        *(replace(request, headers={**request.headers, "Connection": "close"}) for request in raw),
        Request("", "POST", "/v1/classify", FORM, three),
        Request("", "POST", "/v1/detect?score_threshold=0.1", FORM, three),
        Request("", "POST", "/v1/classify", json_type, in_json),
    ]
    listing = [
        Request("", "GET", path, {})
        for path in ("/v1/models", "/metrics", "/readyz", "/livez", "/docs.json")
    ]
    cut = base64.b64encode(files[0][:9000]).decode()
    bad = [
        replace(raw[0], body=cut),
        replace(raw[0], body=""),
        replace(raw[0], path="/v1/classify?model=nothing"),
        replace(raw[0], path="/v1/nothing"),
        replace(raw[0], method="PUT"),
        replace(raw[0], headers={"Content-Type": "text/plain"}),
        Request("", "POST", "/v1/detect", FORM, cut),
        Request("", "POST", "/v1/detect", json_type, cut),
    ]
    gone = [replace(request, hang_up=True) for request in raw[:3]]
    return [
        replace(request, kind=kind)
        for kind, requests in (("good", good), ("listing", listing), ("bad", bad), ("gone", gone))
        for request in requests
    ]


@pytest.mark.soak
def test_nothing_piles_up(tmp_path: Path, photos: Path) -> None:
    requests = all_kinds(photos)
    with running_server(tmp_path, access_log_sample=0.01) as server:
        port = port_of(server)
        run_load(Plan(port, requests, SECONDS / 20, connections=8), tmp_path)
        idle = descriptors(server)
        with watched_memory(server, SECONDS / 200) as memory:
            plan = Plan(port, requests, SECONDS, connections=8, max_requests=REQUESTS, seed=1)
            outcomes = run_load(plan, tmp_path)
        left = descriptors(server)
        log = server.log.read_text()
    growth = memory.growth(WARM_UP)
    kinds = Counter((outcome.kind, outcome.status) for outcome in outcomes)
    record(
        "endurance",
        seconds=round(outcomes[-1].ended),
        requests=len(outcomes),
        replies={f"{kind} {status}": number for (kind, status), number in sorted(kinds.items())},
        good_ms=milliseconds([o.latency for o in outcomes if o.kind == "good"]),
        memory_growth=round(growth, 4),
        memory_mb=[round(memory.mean(i / 10, i / 10 + 0.1) / 1e6) for i in range(10)],
        descriptors=(idle, left),
    )
    assert all(status in EXPECTED[kind] for kind, status in kinds)
    assert growth < 0.02
    assert left <= idle + 2
    assert "Traceback" not in log

"""Recording the golden replies.

    python -m tests.clients.contract.record [CASE ...]

asks real services what the request halves in clients/contract say, and writes down what they reply
and what a client must make of it. Without names it does so for every case that is not by hand.
"""

import json
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.clients.contract.replay import CASES, PHOTOS, read_cases
from tests.clients.contract.servers import KEY, RARE, ROOM_BYTES, SERVICES
from tests.e2e.server import eventually

Json = dict[str, Any]

HEADERS = ("content-type", "x-request-id", "retry-after", "www-authenticate")
LINE = 100
# What is different each time, as it is written down.
TIMING_MS = {"decode": 5.312, "queue": 0.05, "inference": 44.006, "total": 49.719}
SESSION_BYTES = 50_000_000
RARE_SECONDS = 50
FOLDER = re.compile(r"/\S*/store\b")
WAIT = re.compile(r"in \d+\.\d\d s")


def ask(url: str, case: Json) -> Json:
    """What the service at ``url`` replies to the request of ``case``, as it is written down."""
    match case["name"]:
        case "rate_limited":
            httpx.get(f"{url}/v1/models", headers={"x-api-key": RARE}, timeout=60)
        case "overloaded":
            with occupied(url):
                eventually(lambda: send(url, case).status_code == 503, "there is no room")
                return written(send(url, case))
    return written(send(url, case))


def send(url: str, case: Json) -> httpx.Response:
    request = case["request"]
    headers = {name: value for name, value in request["headers"].items() if value is not None}
    headers["x-request-id"] = f"contract-{case['name']}"
    body = request["body"] or {}
    sent: Json = {"json": body["json"]} if "json" in body else {}
    if "photo" in body:
        sent = {"content": (PHOTOS / body["photo"]).read_bytes()}
    query = httpx.QueryParams(request["query"])
    return httpx.request(
        request["method"], url + request["path"], params=query, headers=headers, timeout=60, **sent
    )


def written(response: httpx.Response) -> Json:
    return {
        "status": response.status_code,
        "headers": {name: response.headers[name] for name in HEADERS if name in response.headers},
        "body": steady(response.json()),
    }


@contextmanager
def occupied(url: str) -> Iterator[None]:
    """A body that never ends, and leaves less room than a photo needs."""
    parts = urlsplit(url)
    head = (
        f"POST /v1/detect HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n"
        f"Content-Type: image/jpeg\r\nContent-Length: {ROOM_BYTES}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head.encode() + bytes(ROOM_BYTES - 1))
        yield


def steady(content: Any) -> Any:
    """``content`` without what is different each time."""
    match content:
        case {"timing_ms": _}:
            return {**content, "timing_ms": TIMING_MS}
        case {"code": "rate_limited"}:
            return {**content, "detail": WAIT.sub(f"in {RARE_SECONDS}.00 s", content["detail"])}
        case {"models": [*models]}:
            return {"models": [steady(model) for model in models]}
        case {"status": {"reason": str(reason)}}:
            told = FOLDER.sub("model_store", reason)
            return {**content, "status": {**content["status"], "reason": told}}
        case {"status": {"session_bytes": _}}:
            return {**content, "status": {**content["status"], "session_bytes": SESSION_BYTES}}
    return content


def expectation(case: Json) -> Json:
    """What a client must return for the reply of ``case``, or raise."""
    response = case["response"]
    body = response["body"]
    if response["status"] != 200:
        retry_after = response["headers"].get("retry-after")
        told = ("status", "code", "detail", "retryable", "request_id")
        return {
            "error": {
                "kind": error_kind(response["status"]),
                **{name: body[name] for name in told},
                "retry_after": retry_after and float(retry_after),
            }
        }
    if case["call"]["method"] == "models":
        return {"result": [model_summary(model) for model in body["models"]]}
    (image,) = body["results"]
    shared = {name: value for name, value in body.items() if name != "results"}
    return {"result": {**image, **shared}}


def model_summary(model: Json) -> Json:
    """The labels are counted: they stand in the reply. Of a damaged package neither they nor the
    task are known."""
    summary = {"name": model["name"], "version": model["version"]}
    if "task" in model:
        summary |= {"task": model["task"], "labels": len(model["labels"])}
    return {**summary, "state": model["status"]["state"]}


def error_kind(status: int) -> str:
    kinds = {401: "Unauthorized", 403: "Unauthorized", 429: "RateLimited", 503: "Overloaded"}
    return kinds.get(status, "ServerError" if status >= 500 else "InvalidRequest")


def to_text(value: Any, indent: str = "") -> str:
    """``value`` as JSON in which a list or an object of plain values is one line, if it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value:
        return line
    parts = list(value.values()) if isinstance(value, dict) else value
    is_plain = not any(isinstance(part, dict | list) for part in parts)
    if is_plain and len(indent) + len(line) <= LINE:
        return line
    inner = f"{indent}  "
    texts = [to_text(part, inner) for part in parts]
    if isinstance(value, dict):
        texts = [f"{json.dumps(name)}: {text}" for name, text in zip(value, texts, strict=True)]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    joined = f",\n{inner}".join(texts)
    return f"{opening}\n{inner}{joined}\n{indent}{closing}"


def write(case: Json) -> None:
    path: Path = CASES / f"{case['name']}.json"
    path.write_text(to_text(case) + "\n", "utf-8")


def main(names: list[str]) -> None:
    cases = read_cases()
    if unknown := set(names) - cases.keys():
        raise SystemExit(f"record: there is no case {', '.join(sorted(unknown))} in {CASES}")
    chosen = [cases[name] for name in names or cases]
    for case in chosen:
        write(case)  # the layout of those by hand too
    for origin, service in SERVICES.items():
        mine = [case for case in chosen if case["origin"] == origin]
        if not mine:
            continue
        with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as url:
            for case in mine:
                case["response"] = ask(url, case)
                case["expect"] = expectation(case)
                write(case)
                print(f"{case['name']}: {case['response']['status']}")


if __name__ == "__main__":
    main(sys.argv[1:])

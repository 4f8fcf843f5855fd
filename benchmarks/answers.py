"""Checks that a server answers as Boxport does: only the same work is compared."""

import json
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx

from benchmarks.load import Request
from benchmarks.server import Server, ServerError
from service.imaging.files import read_photo
from service.inference.classifier import Classifier
from service.inference.detector import Detector
from service.inference.task import Predictor, Row
from service.package import open_package
from service.parameters import ClassifyParameters, DetectParameters

ROWS = ("detections", "classifications")
SCORE_TOLERANCE = 0.02  # a resized pixel may be rounded differently
BOX_TOLERANCE = 2.0  # pixels
FIRST_ANSWER_SECONDS = 60  # some servers report ready while they still load


def reference(package: Path, photo: Path, *, exact: bool = True) -> list[Row]:
    """The rows that the service's own code answers to ``photo``, resized by Pillow as peers resize
    it, or, unless ``exact``, as the service does."""
    opened = open_package(package)
    detects = opened.manifest.task == "detection"
    predictor: Predictor[Any] = Detector(opened) if detects else Classifier(opened)
    query = predictor.to_query(DetectParameters() if detects else ClassifyParameters())
    image = read_photo(photo, opened.manifest.input, exact=exact)
    return predictor.run([image], [query])[0]


def check_answer(server: Server, request: Request, expected: list[Row]) -> None:
    """Ask until the server answers; raise ServerError if its answer differs from ``expected``."""
    found = find_rows(_ask(server, request))
    if found is None or not agree(found, expected):
        raise ServerError(f"{server.name} answers {found}, Boxport {expected}")


def find_rows(content: Any) -> list[Row] | None:
    """The detections or classifications anywhere in a reply, also in JSON text within it; None if
    it has none."""
    if isinstance(content, str):
        try:
            return find_rows(json.loads(content)) if content[:1] in "{[" else None
        except ValueError:
            return None
    if isinstance(content, dict):
        for name in ROWS:
            if name in content:
                rows: list[Row] | None = content[name]
                return rows
        content = list(content.values())
    if isinstance(content, list):
        return next((rows for part in content if (rows := find_rows(part)) is not None), None)
    return None


def agree(found: list[Row], expected: list[Row]) -> bool:
    """Whether both have the same labels in the same order, and scores and boxes within tolerance.

    Only rows of more than half the best score count: a row near the threshold may be on either side
    of it, and the least likely classes may change places.
    """
    confident = [row for row in expected if row["score"] > expected[0]["score"] / 2]
    if len(found) < len(confident):
        return False
    return all(
        one["label"] == other["label"]
        and abs(one["score"] - other["score"]) <= SCORE_TOLERANCE
        and all(
            abs(a - b) <= BOX_TOLERANCE
            for a, b in zip(one.get("box", ()), other.get("box", ()), strict=True)
        )
        for one, other in zip(found, confident, strict=False)
    )


def _ask(server: Server, request: Request) -> Any:
    deadline = time.monotonic() + FIRST_ANSWER_SECONDS
    reply = ""
    with httpx.Client(timeout=10) as client:
        while time.monotonic() < deadline:
            try:
                content = b64decode(request.body)
                answer = client.post(
                    server.url + request.path, content=content, headers=request.headers
                )
                if answer.status_code == 200:
                    return answer.json()
                reply = f"{answer.status_code} {answer.text[:200]}"
            except httpx.TransportError as error:
                reply = type(error).__name__
            time.sleep(0.5)
    raise ServerError(f"{server.name} does not answer: {reply}")

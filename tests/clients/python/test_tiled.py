"""Photos that are asked about tile by tile."""

import json
import re
from email import message_from_bytes
from io import BytesIO
from pathlib import Path

import pytest
from boxport_client import ApiError, Box, InvalidRequest
from boxport_client._tiled import TILES_PER_REQUEST
from PIL import Image

from tests.clients.python.scripted import MODEL, ScriptedServer, refuses

DEFAULTS = {"score_threshold": 0.3, "iou_threshold": 0.5, "max_detections": 100}


def tiles_of(handler) -> list[bytes]:
    head = f"Content-Type: {handler.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + handler.body).get_payload()
    return [part.get_payload(decode=True) for part in parts]


def reply_with(handler, results: list[dict]) -> None:
    request_id = handler.headers["x-request-id"]
    shared = {"model": MODEL, "request_id": request_id, "timing_ms": {"total": 2.0}}
    handler.reply(200, json.dumps({**shared, "results": results}).encode())


def sees_red(handler) -> None:
    """A detector of what is red: the box around it in each tile."""
    if handler.command == "GET":
        manifest = {**MODEL, "task": "detection", "labels": [{"name": "red"}], "defaults": DEFAULTS}
        handler.reply(200, json.dumps(manifest).encode())
        return
    results = []
    for content in tiles_of(handler):
        picture = Image.open(BytesIO(content)).convert("RGB")
        mask = picture.split()[0].point(lambda value: 255 if value > 128 else 0)
        box = mask.getbbox()
        found = [{"box": list(box), "score": 0.9, "label": "red", "label_id": 1}] if box else []
        width, height = picture.size
        results.append({"width": width, "height": height, "detections": found})
    reply_with(handler, results)


def picture() -> Image.Image:
    """2000 x 1000 pixels, black, with a red square far from the borders of any tile."""
    canvas = Image.new("RGB", (2000, 1000))
    canvas.paste((255, 0, 0), (1300, 620, 1340, 650))
    return canvas


def test_what_a_tile_shows_is_found_once_where_it_is(make_client, scripted: ScriptedServer) -> None:
    scripted.then = sees_red
    result = make_client(scripted.url).detect(picture(), tile=400, labels=["red"])
    assert (result.width, result.height) == (2000, 1000)
    assert [d.label for d in result] == ["red"]
    assert result.detections[0].box == pytest.approx((1300, 620, 1340, 650), abs=3)
    posts = [asked for asked in scripted.asked if asked.method == "POST"]
    assert len(posts) > 1
    assert len({asked.headers["x-request-id"] for asked in scripted.asked}) == 1
    assert all("labels=red" in asked.path for asked in posts)
    assert result.timing_ms == {"total": 2.0 * len(posts)}


def test_all_tiles_are_asked_of_one_version_of_the_model(
    make_client, scripted: ScriptedServer
) -> None:
    scripted.then = sees_red
    make_client(scripted.url).detect(picture(), tile=400)
    first, *others, last = scripted.asked
    assert "model=" not in first.path
    assert all("model=m%2F1" in asked.path for asked in others)
    assert last.path == "/v1/models/m/1"


def test_the_models_own_thresholds_are_asked_for_once(
    make_client, scripted: ScriptedServer
) -> None:
    scripted.then = sees_red
    client = make_client(scripted.url)
    client.detect(picture(), tile=900, iou_threshold=0.5, max_detections=5)
    assert {asked.method for asked in scripted.asked} == {"POST"}
    client.detect(picture(), tile=900)
    client.detect(picture(), tile=900)
    assert [asked.method for asked in scripted.asked].count("GET") == 1


def test_max_side_comes_before_the_tiles(make_client, scripted: ScriptedServer) -> None:
    scripted.then = sees_red
    result = make_client(scripted.url).detect(picture(), tile=400, max_side=1000)
    assert (result.width, result.height) == (2000, 1000)
    assert result.detections[0].box == pytest.approx((1300, 620, 1340, 650), abs=5)


def test_a_service_that_takes_fewer_images_gets_fewer(
    make_client, scripted: ScriptedServer
) -> None:
    sizes = []

    def strict(handler) -> None:
        if handler.command == "POST":
            sizes.append(len(tiles_of(handler)))
            if sizes[-1] > 3:
                refuses(413, "too_many_images", False)(handler)
                return
        sees_red(handler)

    scripted.then = strict
    assert len(make_client(scripted.url).detect(picture(), tile=400)) == 1
    assert sizes[:3] == [TILES_PER_REQUEST, TILES_PER_REQUEST // 2, TILES_PER_REQUEST // 4]
    assert max(sizes[2:]) == 2
    scripted.then = refuses(413, "body_too_large", False)
    with pytest.raises(InvalidRequest, match="body_too_large"):
        make_client(scripted.url).detect(picture(), tile=400)


def test_a_tile_that_fails_fails_the_photo(make_client, scripted: ScriptedServer) -> None:
    def deed(handler) -> None:
        fault = {"code": "internal_error", "detail": "The service failed.", "retryable": False}
        results = [{"error": fault}] * len(tiles_of(handler))
        reply_with(handler, results)

    scripted.then = deed
    with pytest.raises(ApiError, match="internal_error: The service failed"):
        make_client(scripted.url).detect(picture(), tile=400)


@pytest.mark.usefixtures("hasty")
def test_only_the_tiles_that_a_busy_service_refuses_are_sent_again(
    make_client, scripted: ScriptedServer
) -> None:
    sizes = []
    fault = {"code": "overloaded", "detail": "Too many pixels.", "retryable": True}

    def busy(handler) -> None:
        """Takes one tile of a request, and refuses the others."""
        if handler.command == "POST":
            tiles = tiles_of(handler)
            sizes.append(len(tiles))
            one = {"width": 400, "height": 400, "detections": []}
            reply_with(handler, [one, *[{"error": fault}] * (len(tiles) - 1)])
        else:
            sees_red(handler)

    scripted.then = busy
    client = make_client(scripted.url, retries=3)
    client.detect(picture().crop((0, 0, 800, 400)), tile=400, overlap=0.0)
    assert sizes == [3, 2, 1]
    with pytest.raises(ApiError, match=r"overloaded: Too many pixels. \(after 4 tries\)"):
        client.detect(picture(), tile=400)


def test_a_small_cat_in_a_large_photo(client, photos: Path) -> None:
    """The real model, which looks at 320 pixels, is blind for it without tiles."""
    canvas = Image.new("RGB", (2400, 1800), (120, 130, 120))
    cat = Image.open(photos / "cat.jpg").resize((226, 150))
    canvas.paste(cat, (1900, 1500))
    assert not [d for d in client.detect(canvas) if d.label == "cat"]
    (found,) = [d for d in client.detect(canvas, tile=480) if d.label == "cat"]
    assert found.box.iou(Box(1900, 1500, 2126, 1650)) > 0.7
    assert re.fullmatch("[0-9a-f]{32}", client.detect(canvas, tile=1200).request_id)

"""The peers' own handler answers as Boxport does, and their requests carry the photo."""

import base64
from email import message_from_bytes
from pathlib import Path

import orjson
import pytest

from benchmarks.answers import agree, reference
from benchmarks.growth import form_of
from benchmarks.packages import MODELS, Model
from benchmarks.peers import table
from benchmarks.peers.shared.handler import PhotoModel

HEAD_LENGTH = "Inference-Header-Content-Length"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("name", ["cat", "astronaut", "photographer"])
def test_the_handler_answers_as_boxport_does(model: Model, name: str, photos: Path) -> None:
    photo = photos / f"{name}.jpg"
    (rows,) = PhotoModel(model.package, threads=1).answer(photo.read_bytes()).values()
    expected = reference(model.package, photo)
    assert expected
    assert agree(rows, expected)


@pytest.mark.parametrize("peer", table.PEERS, ids=lambda peer: peer.name)
def test_every_peer_has_a_folder_with_pinned_requirements(peer: table.Peer) -> None:
    lines = (peer.home / "requirements.txt").read_text().split()
    assert "onnxruntime==1.31.1" in lines
    assert all("==" in line or line == "setuptools<81" for line in lines)


def test_requests_carry_the_photo() -> None:
    photo = bytes(range(256)) * 3
    raw = table.raw_body(photo, "/x")
    assert base64.b64decode(raw.body) == photo
    form = table.form_field("image")(photo, "/x")
    assert parts_of(form) == [("image", photo)]
    tensor = orjson.loads(base64.b64decode(table.v2_json(photo, "/x").body))["inputs"][0]
    assert base64.b64decode(tensor["data"][0]) == photo
    binary = table.v2_binary(photo, "/x")
    body, head = base64.b64decode(binary.body), int(binary.headers[HEAD_LENGTH])
    (tensor,) = orjson.loads(body[:head])["inputs"]
    assert len(body) == head + tensor["parameters"]["binary_data_size"]
    assert body[head:] == len(photo).to_bytes(4, "little") + photo
    assert parts_of(form_of([photo, b"two"], "/x")) == [("images", photo), ("images", b"two")]


def parts_of(request: table.Request) -> list[tuple[str, bytes]]:
    """Names and contents of a form's fields."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + base64.b64decode(request.body))
    return [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in message.get_payload()
    ]

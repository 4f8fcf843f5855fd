"""Photos and results in an object store that speaks S3, on a socket of this machine."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from socket import socket
from urllib.error import HTTPError
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from service.bulk.errors import BulkError
from service.bulk.folder import Folder, open_folder
from service.bulk.listing import list_photos
from service.bulk.parts import Parts
from service.bulk.target import open_target
from service.parameters import ClassifyParameters
from tests.service.bulk.jobs import write_half

LIMIT = 10**6


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The end of a URI that leads to a store with the bucket "shop"."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/", server)
            query = f"endpoint_override={quote(f'127.0.0.1:{port}')}&scheme=http&region=us-east-1"
            bucket, _ = fs.FileSystem.from_uri(
                f"s3://test:test@shop?{query}&allow_bucket_creation=true"
            )
            bucket.create_dir("shop")
            yield query
        finally:
            server.terminate()


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except HTTPError as error:
            error.close()
        except OSError:
            time.sleep(0.05)
            continue
        return
    raise TimeoutError(url)


@pytest.fixture
def uri(store: str, request: pytest.FixtureRequest) -> str:
    """A URI for each test, with a place for the path."""
    return f"s3://test:test@shop/{request.node.name}/{{}}?{store}"


def fill(uri: str, **files: bytes) -> Folder:
    folder = open_folder(uri.format("photos"))
    for name, content in files.items():
        with folder.write(name.replace("__", "/") + ".jpg") as file:
            file.write(content)
    return folder


def test_photos_are_listed_and_read(uri: str) -> None:
    fill(uri, b=b"bee", a__2=b"two", a__1=b"one")
    listing = list_photos(uri.format("photos"), None)
    shard = listing.shard(0, 16)
    photos = shard.photos(LIMIT)
    assert [(photo.name, photo.read()) for photo in photos] == [
        ("a/1.jpg", b"one"),
        ("a/2.jpg", b"two"),
        ("b.jpg", b"bee"),
    ]


def test_a_table_of_the_store_names_photos_of_it(uri: str) -> None:
    fill(uri, cat=b"cat")
    folder = open_folder(uri.format("tables"))
    table = pa.table({"path": ["../photos/cat.jpg", uri.format("photos/cat.jpg"), "gone.jpg"]})
    with folder.write("list.parquet") as file:
        pq.write_table(table, file)
    _, absolute, gone = list_photos(uri.format("tables"), None).shard(0, 16).photos(LIMIT)
    assert absolute.read() == b"cat"
    with pytest.raises(FileNotFoundError):
        gone.read()


def test_results_are_parts_of_the_store(uri: str) -> None:
    target = open_target(uri.format("found.json"), uri.format("photos"))
    assert target.parts.path.endswith("/found.json.parts")
    parts = Parts(target.parts, 3, 2)
    assert parts.missing() == [0, 1]
    row = {"number": 2, "photo": "a", "width": 4, "height": 3, "classifications": [], "error": None}
    parts.write(1, ClassifyParameters(), [row])
    assert parts.missing() == [0]
    assert parts.count_one(1).photos == 1
    with pytest.raises(BulkError, match=r"lies in"):
        open_target(uri.format("photos/found"), uri.format("photos"))


def test_a_write_that_fails_leaves_no_object(uri: str) -> None:
    folder = open_folder(uri.format("found"))
    with pytest.raises(ZeroDivisionError), folder.write("part") as file:
        write_half(file)
    assert folder.names() == set()
    folder.remove("part")


def test_a_bucket_that_is_not_there_is_told(store: str) -> None:
    with pytest.raises(BulkError, match=r"s3://\*\*\*@nowhere"):
        list_photos(f"s3://test:test@nowhere/photos?{store}", None)

"""The table of public checkpoints, and downloads from a real server on this machine."""

import hashlib
import random
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.variants import VARIANTS
from models.zoo import ENTRIES, ZOO, ZooEntry, ZooError, app, download, find

CONTENT = random.Random(0).randbytes(200_000)
OTHER_CONTENT = random.Random(1).randbytes(200_000)


@dataclass
class Remote:
    """What the server holds and how it behaves; `requests` is what it saw and did.

    cut_after: bytes of a body after which it drops the connection.
    obeys_range, obeys_if_range: whether it knows these headers.
    """

    url: str
    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    status: int | None = None
    cut_after: int | None = None
    obeys_range: bool = True
    obeys_if_range: bool = True
    says_length: bool = True
    requests: list[tuple[str | None, int, int]] = field(default_factory=list)
    """(Range header, status, bytes sent)"""

    def entry(self, content: bytes = CONTENT) -> ZooEntry:
        """A row of the table whose file is here, and whose hash is that of ``content``."""
        prefix = hashlib.sha256(content).hexdigest()[:8]
        return replace(
            ZOO["resnet18"], url=f"{self.url}/net-{prefix}.pth", sha256_prefix=prefix, value=50.0
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/moved/"):
            self.answer(302, {"Location": self.path.removeprefix("/moved")}, b"")
            return
        remote: Remote = self.server.remote
        size, start = len(remote.content), self.wanted_start(remote)
        status = remote.status or (200 if start is None else 206 if start < size else 416)
        body = remote.content[start or 0 :] if status in (200, 206) else b""
        ranges = {206: f"bytes {start}-{size - 1}/{size}", 416: f"bytes */{size}"}
        headers = {
            "Content-Range": ranges.get(status),
            "ETag": remote.etag,
            "Last-Modified": remote.modified,
        }
        sent = body[: remote.cut_after]
        # before the answer: a client that has it may look here at once
        remote.requests.append((self.headers.get("Range"), status, len(sent)))
        self.answer(status, headers, sent, len(body) if remote.says_length else None)

    def wanted_start(self, remote: Remote) -> int | None:
        """The first byte that the client wants, None where it gets everything."""
        versions = (None, remote.etag, remote.modified)
        changed = remote.obeys_if_range and self.headers.get("If-Range") not in versions
        if changed or not remote.obeys_range or "Range" not in self.headers:
            return None
        return int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])

    def answer(
        self, status: int, headers: dict[str, str | None], body: bytes, length: int | None = 0
    ) -> None:
        """Send ``body`` as if it were of ``length`` bytes, and hang up where it is not."""
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length != len(body)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.remote = Remote(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.remote
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> ZooEntry:
    """A row whose server refuses connections."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return Remote(f"http://127.0.0.1:{port}").entry()


def interrupted(remote: Remote, folder: Path, after: int = 50_000) -> ZooEntry:
    """A row of which the first ``after`` bytes are in ``folder``."""
    entry = remote.entry()
    remote.cut_after = after
    with pytest.raises(ZooError):
        download(entry, folder)
    remote.cut_after = None
    assert (folder / f"{entry.file}.partial").read_bytes() == CONTENT[:after]
    assert not (folder / entry.file).exists()
    return entry


def assert_only(path: Path, content: bytes) -> None:
    """``path`` holds ``content``, and nothing is left beside it."""
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_file_arrives_whole(remote: Remote, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    entry = remote.entry()
    path = download(entry, tmp_path / "new" / "folder", lambda *now: seen.append(now))
    assert path == tmp_path / "new" / "folder" / entry.file
    assert_only(path, CONTENT)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert remote.requests == [(None, 200, len(CONTENT))]


def test_a_file_of_unstated_size_arrives_whole(remote: Remote, tmp_path: Path) -> None:
    remote.says_length = False
    seen: list[tuple[int, int | None]] = []
    assert_only(download(remote.entry(), tmp_path, lambda *now: seen.append(now)), CONTENT)
    assert seen[-1] == (len(CONTENT), None)


def test_an_interrupted_download_goes_on_where_it_stopped(remote: Remote, tmp_path: Path) -> None:
    entry = interrupted(remote, tmp_path)
    seen: list[tuple[int, int | None]] = []
    assert_only(download(entry, tmp_path, lambda *now: seen.append(now)), CONTENT)
    assert remote.requests[1:] == [("bytes=50000-", 206, len(CONTENT) - 50_000)]
    assert seen[0] == (50_000, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_it_goes_on_after_each_of_several_interruptions(remote: Remote, tmp_path: Path) -> None:
    entry = remote.entry()
    remote.cut_after = 60_000
    for kept in ("60,000", "120,000", "180,000"):
        with pytest.raises(ZooError, match=rf"\({kept} bytes kept to go on from\)"):
            download(entry, tmp_path)
    assert_only(download(entry, tmp_path), CONTENT)
    assert [sent for _, _, sent in remote.requests] == [60_000, 60_000, 60_000, 20_000]


def test_a_server_without_ranges_sends_everything_again(remote: Remote, tmp_path: Path) -> None:
    entry = interrupted(remote, tmp_path)
    remote.obeys_range = False
    assert_only(download(entry, tmp_path), CONTENT)
    assert remote.requests[1:] == [("bytes=50000-", 200, len(CONTENT))]


@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_a_changed_file_is_not_glued_to_the_old_half(
    remote: Remote, tmp_path: Path, obeys_if_range: bool
) -> None:
    old = interrupted(remote, tmp_path)
    remote.content, remote.etag = OTHER_CONTENT, '"two"'
    remote.obeys_if_range = obeys_if_range
    # no hash to notice by
    assert_only(download(replace(old, sha256_prefix=None), tmp_path), OTHER_CONTENT)
    assert [status for _, status, _ in remote.requests[1:]] == (
        [200] if obeys_if_range else [206, 200]
    )


def test_the_date_of_change_serves_where_the_etag_does_not(remote: Remote, tmp_path: Path) -> None:
    remote.etag, remote.modified = 'W/"one"', "Wed, 01 May 2024 10:00:00 GMT"
    entry = interrupted(remote, tmp_path)
    assert_only(download(entry, tmp_path), CONTENT)
    assert remote.requests[1:] == [("bytes=50000-", 206, len(CONTENT) - 50_000)]


def test_it_goes_on_through_a_redirect(remote: Remote, tmp_path: Path) -> None:
    entry = interrupted(remote, tmp_path)
    moved = replace(entry, url=f"{remote.url}/moved/{entry.file}")
    assert_only(download(moved, tmp_path), CONTENT)
    assert remote.requests[1:] == [("bytes=50000-", 206, len(CONTENT) - 50_000)]


@pytest.mark.parametrize("etag", [None, 'W/"one"'], ids=["no ETag", "a weak ETag"])
def test_without_a_sure_version_it_starts_over(
    remote: Remote, tmp_path: Path, etag: str | None
) -> None:
    remote.etag = etag
    entry = interrupted(remote, tmp_path)
    assert_only(download(entry, tmp_path), CONTENT)
    assert remote.requests[1:] == [(None, 200, len(CONTENT))]


def test_a_part_that_is_whole_already_is_kept(remote: Remote, tmp_path: Path) -> None:
    entry = interrupted(remote, tmp_path)
    (tmp_path / f"{entry.file}.partial").write_bytes(CONTENT)
    assert_only(download(entry, tmp_path), CONTENT)
    assert remote.requests[1:] == [(f"bytes={len(CONTENT)}-", 416, 0)]


def test_a_part_longer_than_the_file_is_dropped(remote: Remote, tmp_path: Path) -> None:
    entry = interrupted(remote, tmp_path)
    (tmp_path / f"{entry.file}.partial").write_bytes(CONTENT + b"more")
    assert_only(download(entry, tmp_path), CONTENT)
    assert [status for _, status, _ in remote.requests[1:]] == [416, 200]


def test_a_wrong_hash_is_named_and_its_file_deleted(remote: Remote, tmp_path: Path) -> None:
    entry = remote.entry(OTHER_CONTENT)
    got = hashlib.sha256(CONTENT).hexdigest()[:8]
    with pytest.raises(ZooError, match=f"expected {entry.sha256_prefix}…, got {got}…") as caught:
        download(entry, tmp_path)
    assert entry.url in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_fetched_again(remote: Remote, tmp_path: Path) -> None:
    entry = remote.entry()
    (tmp_path / entry.file).write_bytes(CONTENT)
    assert_only(download(entry, tmp_path), CONTENT)
    assert remote.requests == []


def test_a_wrong_file_that_is_there_is_left_alone(remote: Remote, tmp_path: Path) -> None:
    entry = remote.entry()
    (tmp_path / entry.file).write_bytes(b"put here by hand")
    with pytest.raises(ZooError, match=f"is there, .* expected {entry.sha256_prefix}…"):
        download(entry, tmp_path)
    assert_only(tmp_path / entry.file, b"put here by hand")


@pytest.mark.parametrize(("status", "reason"), [(404, "HTTP 404 Not Found"), (503, "HTTP 503")])
def test_an_error_status_keeps_what_is_here(
    remote: Remote, tmp_path: Path, status: int, reason: str
) -> None:
    entry = interrupted(remote, tmp_path)
    remote.status = status
    with pytest.raises(ZooError, match=reason) as caught:
        download(entry, tmp_path)
    assert_places_by_hand(str(caught.value), entry, tmp_path)
    remote.status = None
    assert_only(download(entry, tmp_path), CONTENT)
    assert remote.requests[-1][:2] == ("bytes=50000-", 206)


def test_no_connection_names_the_url_and_the_place(nowhere: ZooEntry, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="Connection refused") as caught:
        download(nowhere, tmp_path)
    assert_places_by_hand(str(caught.value), nowhere, tmp_path)


def assert_places_by_hand(message: str, entry: ZooEntry, folder: Path) -> None:
    assert message.startswith(f"cannot reach {entry.url}: ")
    assert message.endswith(f"; download it elsewhere and put it at {folder / entry.file}")
    assert "\n" not in message


def test_a_folder_that_cannot_be_is_named(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="^" + re.escape(str(tmp_path / "file"))):
        download(remote.entry(), tmp_path / "file" / "folder")
    assert remote.requests == []


def test_find_suggests_what_is_close() -> None:
    assert find("vgg16_bn") is ZOO["vgg16_bn"]
    with pytest.raises(ZooError, match=r"'resnet_50'; did you mean .*resnet50"):
        find("resnet_50")
    with pytest.raises(ZooError, match="list"):
        find("?")


def test_list_shows_every_row_in_full() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for entry in ENTRIES:
        [line] = [li for li in result.stdout.splitlines() if li.split()[:1] == [entry.variant]]
        for cell in (f"{entry.metric} {entry.value:.1f}", entry.licence, entry.file):
            assert cell in line


def test_list_filters() -> None:
    result = CliRunner().invoke(app, ["list", "RetinaNet"])
    assert result.exit_code == 0
    assert "retinanet_resnet50_fpn_v2" in result.stdout
    assert "efficientnet" not in result.stdout
    result = CliRunner().invoke(app, ["list", "nothing like it"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'nothing like it'" in result.stderr


def test_download_command(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ZOO, "resnet18", remote.entry())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["download", "resnet18"])
    assert result.exit_code == 0
    path = Path("checkpoints", remote.entry().file)
    assert_only(path, CONTENT)
    assert f"{path}: BSD-3-Clause" in result.stderr

    result = CliRunner().invoke(app, ["download", "resnet18", "--output", "elsewhere"])
    assert result.exit_code == 0
    assert_only(Path("elsewhere", remote.entry().file), CONTENT)


def test_download_command_without_internet_says_so_in_one_line(
    nowhere: ZooEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ZOO, "resnet18", nowhere)
    result = CliRunner().invoke(app, ["download", "resnet18", "--output", str(tmp_path)])
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert_places_by_hand(line.removeprefix("error: "), nowhere, tmp_path)


def test_download_command_of_an_unknown_name() -> None:
    result = CliRunner().invoke(app, ["download", "efficientdet_lite9"])
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert "did you mean efficientdet_lite" in line


def test_rows_are_of_our_variants() -> None:
    assert set(ZOO) - set(VARIANTS) == set()


def test_rows_have_names_and_files_of_their_own() -> None:
    assert len({entry.variant for entry in ENTRIES}) == len(ENTRIES)
    assert len({entry.url for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.variant)
def test_row_is_plausible(entry: ZooEntry) -> None:
    assert re.fullmatch(r"https://[\w./-]+/[\w-]+\.pth", entry.url)
    assert re.fullmatch("[0-9a-f]{8}", entry.sha256_prefix)
    assert entry.file.endswith(f"-{entry.sha256_prefix}.pth")
    assert entry.variant in entry.file or entry.variant.startswith("tf_efficientnet_")
    if entry.metric == "AP":
        assert entry.data == "COCO 2017"
        assert 20 < entry.value < 60
    else:
        assert entry.data == "ImageNet-1k"
        assert 65 < entry.value < 90
    assert entry.licence in ("BSD-3-Clause", "Apache-2.0")

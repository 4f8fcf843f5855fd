"""Downloads from a real server on this machine: whole, resumed, checked, or refused in one line."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from models.zoo.download import download
from models.zoo.table import ZooEntry, ZooError

from .remote import CONTENT, OTHER_CONTENT, Remote, assert_only, assert_places_by_hand


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


def test_a_changed_file_is_not_glued_to_the_old_half(remote: Remote, tmp_path: Path) -> None:
    old = interrupted(remote, tmp_path)
    remote.content = OTHER_CONTENT
    prefix = hashlib.sha256(OTHER_CONTENT).hexdigest()[:8]
    assert_only(download(replace(old, sha256_prefix=prefix), tmp_path), OTHER_CONTENT)
    assert [status for _, status, _ in remote.requests[1:]] == [206, 200]


def test_it_goes_on_through_a_redirect(remote: Remote, tmp_path: Path) -> None:
    entry = interrupted(remote, tmp_path)
    moved = replace(entry, url=f"{remote.url}/moved/{entry.file}")
    assert_only(download(moved, tmp_path), CONTENT)
    assert remote.requests[1:] == [("bytes=50000-", 206, len(CONTENT) - 50_000)]


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


def test_a_folder_that_cannot_be_is_named(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="^" + re.escape(str(tmp_path / "file"))):
        download(remote.entry(), tmp_path / "file" / "folder")
    assert remote.requests == []

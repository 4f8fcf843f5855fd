"""The file of keys: wrong ones are named in one line, and no change half-writes it."""

import json
import resource
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.access.key_file import KeysError, add_entry, read_entries, revoke_entry
from service.access.keys import new_key

GOOD = {"name": "shop", "sha256": "0" * 64, "scopes": ["infer"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add(path: Path, name: str) -> None:
    add_entry(path, new_key(name, ["infer"])[1])


def names(path: Path) -> list[str]:
    return [entry.name for entry in read_entries(path)[0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (b"[{", "Invalid JSON"),
        (b"[\xff]", "Invalid JSON"),
        (b"{}", "Input should be a valid"),
        (b"null", "Input should be a valid"),
        (b"[3]", "entry 1: Input should be"),
        (b'[{"name": "ci", "burst": -%s}]' % (b"9" * 5000), "Invalid JSON: number out of range"),
    ],
)
def test_what_is_no_list_of_entries(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(KeysError, match=message) as error:
        read_entries(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "entry 2: name: "),
        ({"name": ""}, "key '': name: "),
        ({"name": "a b"}, "key 'a b': name: "),
        ({"name": "caf\u00e9"}, "name: String should match"),
        ({"name": "a\n"}, r"key 'a\\n': name: "),
        ({"name": "x" * 65}, "name: String should match"),
        ({"sha256": "0" * 63}, "key 'ci': sha256: "),
        ({"sha256": "A" * 64}, "key 'ci': sha256: "),
        ({"scopes": []}, "key 'ci': scopes: "),
        ({"scopes": ["root"]}, "key 'ci': scopes: 0: .*'infer' or 'admin'"),
        ({"scopes": "infer"}, "key 'ci': scopes: "),
        ({"rate": 0}, "key 'ci': rate: "),
        ({"rate": 1e-320}, "key 'ci': rate: "),
        ({"rate": "10"}, "key 'ci': rate: "),
        ({"rate": float("nan")}, "key 'ci': rate: "),
        ({"rate": 1, "burst": 0}, "key 'ci': burst: "),
        ({"burst": 5}, "key 'ci': .*burst is given without rate"),
        ({"expires": "soon"}, "key 'ci': expires: "),
        ({"expires": 20270630}, "key 'ci': expires: "),
        ({"key": "x"}, "key 'ci': key: Extra inputs"),
        ({"name": "shop"}, "two keys have the name 'shop'"),
        ({"sha256": "0" * 64}, "'ci' is the same key as one before it"),
    ],
)
def test_wrong_entry_is_named(path: Path, change: dict[str, Any], message: str) -> None:
    path.write_text(json.dumps([GOOD, {**GOOD, "name": "ci", "sha256": "1" * 64, **change}]))
    with pytest.raises(KeysError, match=message) as error:
        read_entries(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["sha256", "key", "expires", "rate"])
def test_message_never_shows_what_may_be_a_key(path: Path, field: str) -> None:
    path.write_text(json.dumps([{**GOOD, field: "bxp_shop_pasted"}]))
    with pytest.raises(KeysError, match=field) as error:
        read_entries(path)
    assert "pasted" not in str(error.value)


def test_file_that_everybody_may_write_is_refused(path: Path) -> None:
    path.write_text(json.dumps([GOOD]))
    path.chmod(0o646)
    with pytest.raises(KeysError, match="chmod o-w"):
        read_entries(path)
    path.chmod(0o644)
    assert names(path) == ["shop"]


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="Is a directory"):
        read_entries(tmp_path)


def test_new_file_is_the_owners_alone(path: Path) -> None:
    add(path, "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_mode_and_link_stay(tmp_path: Path, path: Path) -> None:
    real = tmp_path / "real" / "keys.json"
    real.parent.mkdir()
    add(real, "a")
    real.chmod(0o640)
    path.symlink_to(real)
    add(path, "b")
    revoke_entry(path, "a")
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert names(real) == ["b"]


def test_revoked_leaves_the_others_as_they_were(path: Path) -> None:
    for name in ("a", "b", "c"):
        add(path, name)
    before = read_entries(path)[0]
    revoke_entry(path, "b")
    assert read_entries(path)[0] == (before[0], before[2])


@pytest.mark.parametrize("content", ["", "[", '[{"name": "x"}]'])
def test_broken_file_is_left_as_it_is(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(KeysError):
        add(path, "a")
    with pytest.raises(KeysError):
        revoke_entry(path, "x")
    assert path.read_text() == content
    assert list(path.parent.iterdir()) == [path]


def test_name_is_given_once(path: Path) -> None:
    add(path, "a")
    before = path.read_bytes()
    with pytest.raises(KeysError, match="there is a key 'a' already"):
        add(path, "a")
    assert path.read_bytes() == before


def test_who_is_not_there_cannot_be_revoked(path: Path) -> None:
    add(path, "a")
    with pytest.raises(KeysError, match="there is no key 'b'; there are a"):
        revoke_entry(path, "b")
    assert names(path) == ["a"]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="its folder cannot be opened"):
        add(tmp_path / "nowhere" / "keys.json", "a")


@pytest.fixture
def small_files() -> Iterator[None]:
    """A file cannot grow beyond 100 bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_failed_write_leaves_no_part_of_a_file(path: Path, small_files: None) -> None:
    path.write_text("[]")
    with pytest.raises(KeysError, match="cannot be written: File too large"):
        add(path, "a")
    assert path.read_text() == "[]"
    assert list(path.parent.iterdir()) == [path]


def test_changes_at_once_lose_nothing(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: add(path, f"k{number}"), range(24)))
    assert sorted(names(path)) == sorted(f"k{number}" for number in range(24))


def test_reader_sees_the_old_file_or_the_new(path: Path) -> None:
    add(path, "first")
    with ThreadPoolExecutor(1) as threads:
        writer = threads.submit(lambda: [add(path, f"k{number}") for number in range(30)])
        while not writer.done():
            assert names(path)[0] == "first"
        writer.result()

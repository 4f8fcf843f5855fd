"""Keys of callers: found, refused, expired, and changed while the service runs."""

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from service.access import keys
from service.access.key_file import KeysError, Scope, add_entry, revoke_entry
from service.access.keys import Caller, KeyRing, new_key
from service.access.rates import Rate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def add(path: Path) -> Callable[..., str]:
    """Put a key into the file; its text."""

    def add(name: str, *scopes: Scope, **limits) -> str:
        text, entry = new_key(name, scopes or ("infer",), **limits)
        add_entry(path, entry)
        return text

    return add


@pytest.fixture
def text(add: Callable[..., str]) -> str:
    """A key among others."""
    add("first", "admin")
    text = add("shop")
    add("last", "infer", "admin")
    return text


SHOP = Caller("shop", frozenset({"infer"}))


def test_key_is_found_in_either_header(path: Path, text: str) -> None:
    ring = KeyRing(path)
    assert ring.find(f"Bearer {text}") == SHOP
    assert ring.find(f"bearer  {text} ") == SHOP
    assert ring.find(None, text) == SHOP
    assert ring.find(f"Bearer {text}", "") == SHOP
    # a gateway's own use of Authorization
    assert ring.find("Basic dXNlcjpwYXNz", text) == SHOP
    assert ring.find("Bearer eyJhbGciOi.J9.x", text) == SHOP


def test_one_key_is_tried_of_a_request(path: Path, text: str) -> None:
    assert KeyRing(path).find(f"Bearer {text}", "bxp_wrong") is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda text: text + "x",
        lambda text: text.swapcase(),
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace("shop", "last"),
        lambda text: text.removeprefix("bxp_shop_"),
        lambda text: text + "\u0435",
        lambda text: text.replace("o", "\u043e"),  # Cyrillic
        lambda text: text + "\udce9",
        lambda text: text + "\x00",
        lambda text: hashlib.sha256(text.encode()).hexdigest(),
        lambda text: "x" * 100_000,
    ],
)
def test_wrong_key_is_nobodys(path: Path, text: str, wrong: Callable[[str], str]) -> None:
    ring = KeyRing(path)
    assert ring.find(f"Bearer {wrong(text)}") is None
    assert ring.find(None, wrong(text)) is None


@pytest.mark.parametrize(
    "authorization", [None, "", " ", "Bearer", "Bearer ", "{}", "Basic {}", "Bearer{}", "Token {}"]
)
def test_header_without_a_key_is_nobodys(path: Path, text: str, authorization: str | None) -> None:
    header = authorization and authorization.format(text)
    assert KeyRing(path).find(header) is None
    assert KeyRing(path).find(header, " ") is None


@pytest.mark.parametrize("place", [0, 31, 63])
def test_whole_hash_counts(path: Path, place: int) -> None:
    text, entry = new_key("shop", ["infer"])
    digits = list(entry.sha256)
    digits[place] = "0" if digits[place] != "0" else "1"
    add_entry(path, entry.model_copy(update={"sha256": "".join(digits)}))
    assert KeyRing(path).find(None, text) is None


def test_empty_text_is_no_key_even_if_its_hash_is_there(path: Path) -> None:
    """As of `echo -n "$KEY" | sha256sum` without a KEY."""
    entry = {"name": "slip", "sha256": hashlib.sha256(b"").hexdigest(), "scopes": ["admin"]}
    path.write_text(json.dumps([entry]))
    ring = KeyRing(path)
    assert ring.find(None, None) is None
    assert ring.find("Bearer ", "") is None


def test_no_keys_let_nobody_in(path: Path, text: str) -> None:
    path.write_text("[]")
    assert KeyRing(path).find(f"Bearer {text}") is None


def test_scopes_do_not_include_each_other(path: Path, add: Callable[..., str]) -> None:
    infer, admin, both = add("a", "infer"), add("b", "admin"), add("c", "admin", "infer", "admin")
    found = [KeyRing(path).find(None, text) for text in (infer, admin, both)]
    assert [caller and caller.scopes for caller in found] == [
        {"infer"},
        {"admin"},
        {"infer", "admin"},
    ]


def test_limits_go_with_the_caller(path: Path, add: Callable[..., str]) -> None:
    plain, slow, wide = add("a"), add("b", rate=0.5), add("c", rate=20, burst=40)
    found = [KeyRing(path).find(None, text) for text in (plain, slow, wide)]
    assert [caller and caller.rate for caller in found] == [None, Rate(0.5, 1), Rate(20.0, 40)]


@pytest.mark.parametrize(
    ("day", "good"), [("2027-06-29", True), ("2027-06-30", True), ("2027-07-01", False)]
)
def test_key_is_good_to_the_end_of_its_last_day(
    path: Path, add: Callable[..., str], day: str, good: bool
) -> None:
    text = add("shop", expires=date(2027, 6, 30))
    ring = KeyRing(path, today=lambda: date.fromisoformat(day))
    assert ring.find(None, text) == (SHOP if good else None)


def test_days_are_those_of_utc(path: Path, add: Callable[..., str]) -> None:
    now = datetime.now(UTC).date()
    old, current = add("old", expires=date(2020, 1, 1)), add("shop", expires=now)
    ring = KeyRing(path)
    assert ring.find(None, old) is None
    assert ring.find(None, current) == SHOP


def test_new_keys_are_random_and_named() -> None:
    texts = {new_key("shop", ["infer"])[0] for _ in range(100)}
    assert len(texts) == 100
    assert {len(text) for text in texts} == {len("bxp_shop_") + 43}  # 256 bits in base64
    text, entry = new_key("shop", ["infer"])
    assert text.startswith("bxp_shop_")
    assert entry.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_file_holds_no_key(path: Path, text: str) -> None:
    assert text.removeprefix("bxp_shop_") not in path.read_text()
    assert hashlib.sha256(text.encode()).hexdigest() in path.read_text()


def test_keys_come_and_go_while_it_runs(path: Path, text: str, add: Callable[..., str]) -> None:
    ring = KeyRing(path)
    assert not ring.refresh()
    other = add("other")
    assert ring.find(None, other) is None
    assert ring.refresh()
    assert ring.find(None, other) == Caller("other", frozenset({"infer"}))
    revoke_entry(path, "shop")
    assert ring.refresh()
    assert ring.find(None, text) is None
    assert not ring.refresh()


def test_change_of_the_same_size_and_time_is_seen(path: Path, text: str) -> None:
    """A swapped Kubernetes secret may have both of the one before."""
    before = path.stat()
    ring = KeyRing(path)
    other = path.with_name("other")
    other.write_text(path.read_text().replace('"shop"', '"shoq"'))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_size == before.st_size
    assert ring.refresh()
    assert ring.find(None, text) == Caller("shoq", frozenset({"infer"}))


def test_change_of_the_same_size_in_place_is_seen(path: Path, text: str) -> None:
    ring, before = KeyRing(path), path.stat()
    path.write_text(path.read_text().replace('"shop"', '"shoq"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)
    assert ring.refresh()
    assert ring.find(None, text) == Caller("shoq", frozenset({"infer"}))


def test_swapped_link_is_seen(tmp_path: Path, path: Path, text: str) -> None:
    """As the kubelet updates a mounted secret."""
    for name, content in (("v1", path.read_text()), ("v2", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.json").write_text(content)
    data = tmp_path / "..data"
    data.symlink_to("v1")
    ring = KeyRing(data / "keys.json")
    assert ring.find(None, text) == SHOP
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(data)
    assert ring.refresh()
    assert ring.find(None, text) is None


@pytest.mark.parametrize("broken", ["", "[", '[{"name": "shop"}]', None])
def test_broken_change_keeps_the_keys_and_is_told_once(
    path: Path, text: str, broken: str | None
) -> None:
    ring, good = KeyRing(path), path.read_text()
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    with pytest.raises(KeysError, match=str(path)):
        ring.refresh()
    assert not ring.refresh()
    assert ring.find(None, text) == SHOP
    path.write_text(good.replace('"shop"', '"mended"'))
    assert ring.refresh()
    assert ring.find(None, text) == Caller("mended", frozenset({"infer"}))


def test_each_broken_version_is_told(path: Path, text: str) -> None:
    ring = KeyRing(path)
    for broken in ("[", "[[", "[[["):
        path.write_text(broken)
        with pytest.raises(KeysError, match="Invalid JSON"):
            ring.refresh()


def test_a_fault_that_passes_does_not_cost_a_change(
    path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that was revoked would be good until the file changes once more."""
    ring = KeyRing(path)
    revoke_entry(path, "shop")
    with monkeypatch.context() as patched:
        patched.setattr(keys, "read_entries", failing)
        with pytest.raises(KeysError, match="Input/output error"):
            ring.refresh()
        assert not ring.refresh(), "it is told once"
        assert ring.find(None, text) == SHOP
    assert ring.refresh()
    assert ring.find(None, text) is None


def failing(path: Path) -> None:
    raise KeysError(f"{path}: cannot be read: Input/output error")


def test_no_file_at_the_start_is_an_error(path: Path) -> None:
    with pytest.raises(KeysError, match=r"keys\.json: cannot be read: No such file"):
        KeyRing(path)

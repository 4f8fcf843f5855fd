"""A request is let in by its key, its key's scopes, and how often it comes."""

from pathlib import Path

import pytest

from service.access import control
from service.access.control import AccessControl
from service.access.key_file import KeysError, Scope, add_entry, revoke_entry
from service.access.keys import new_key
from service.problems import Problem
from service.settings import Settings

ADDRESS = "203.0.113.7"


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add_key(file: Path, name: str, *scopes: Scope, rate: float | None = None) -> dict[str, str]:
    """The headers of a request with a new key."""
    text, entry = new_key(name, scopes, rate)
    add_entry(file, entry)
    return {"x-api-key": text}


def refusal(
    access: AccessControl, headers: dict[str, str], scope: Scope, address: str = ADDRESS
) -> str | None:
    """The code of the problem that a request meets, if it is not let in."""
    try:
        access.authorize(access.identify(headers), scope, address)
    except Problem as problem:
        return problem.code
    return None


def test_without_keys_everybody_may_infer_and_nobody_is_an_admin() -> None:
    access = AccessControl(Settings())
    assert access.identify({"x-api-key": "any"}) is None
    assert refusal(access, {}, "infer") is None
    assert refusal(access, {}, "admin") == "forbidden"


def test_a_key_is_good_for_its_scopes_alone(keys_file: Path) -> None:
    reader = add_key(keys_file, "reader", "infer")
    admin = add_key(keys_file, "admin", "admin")
    access = AccessControl(Settings(keys_file=keys_file))
    caller = access.identify(reader)
    assert caller is not None
    assert caller.name == "reader"
    assert refusal(access, reader, "infer") is None
    assert refusal(access, reader, "admin") == "forbidden"
    assert refusal(access, admin, "admin") is None
    assert refusal(access, admin, "infer") == "forbidden"
    for headers in ({}, {"x-api-key": "wrong"}):
        assert refusal(access, headers, "infer") == "unauthenticated"


def test_a_key_has_its_own_rate_and_the_others_the_services(keys_file: Path) -> None:
    rare = add_key(keys_file, "rare", "infer", rate=0.01)
    usual = add_key(keys_file, "usual", "infer")
    access = AccessControl(Settings(keys_file=keys_file, rate_limit=2))
    assert [refusal(access, rare, "infer") for _ in range(2)] == [None, "rate_limited"]
    assert [refusal(access, usual, "infer") for _ in range(3)] == [None, None, "rate_limited"]


def test_tries_with_wrong_keys_are_counted_by_address(keys_file: Path) -> None:
    add_key(keys_file, "reader", "infer")
    access = AccessControl(Settings(keys_file=keys_file, rate_limit=2))
    codes = [refusal(access, {"x-api-key": f"guess-{i}"}, "infer") for i in range(3)]
    assert codes == ["unauthenticated", "unauthenticated", "rate_limited"]
    assert refusal(access, {}, "infer", "203.0.113.8") == "unauthenticated"


def test_keys_come_and_go_with_the_file(keys_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REFRESH_SECONDS", -1)
    reader = add_key(keys_file, "reader", "infer")
    access = AccessControl(Settings(keys_file=keys_file))
    guest = add_key(keys_file, "guest", "infer")
    assert refusal(access, guest, "infer") is None
    revoke_entry(keys_file, "guest")
    assert refusal(access, guest, "infer") == "unauthenticated"
    keys_file.write_text("[")
    assert refusal(access, reader, "infer") is None, "a broken file changes nothing"


def test_a_file_that_cannot_be_used_ends_the_start(keys_file: Path) -> None:
    keys_file.write_text("[]")
    keys_file.chmod(0o666)
    with pytest.raises(KeysError, match="everybody may write it"):
        AccessControl(Settings(keys_file=keys_file))

"""The two clients are one, but for `await`."""

import inspect

import pytest
from boxport_client import AsyncClient, Client

CALLS = [
    "detect",
    "classify",
    "detect_many",
    "classify_many",
    "detect_video",
    "models",
    "model",
    "health",
    "wait_until_ready",
    "close",
]
STREAMS = {"detect_many", "classify_many", "detect_video"}


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_both_have_the_same_calls() -> None:
    assert public(Client) == public(AsyncClient) == set(CALLS)


@pytest.mark.parametrize("name", ["__init__", *CALLS])
def test_parameters_are_the_same(name: str) -> None:
    one = inspect.signature(getattr(Client, name)).parameters
    other = inspect.signature(getattr(AsyncClient, name)).parameters
    assert list(one.values()) == list(other.values())


@pytest.mark.parametrize("name", CALLS)
def test_what_is_given_back_is_the_same(name: str) -> None:
    one, other = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.iscoroutinefunction(other) == (name not in STREAMS)
    given = inspect.signature(one).return_annotation
    awaited = inspect.signature(other).return_annotation
    if name in STREAMS:
        given = given.replace(", None, None]", "]").replace("Generator", "AsyncGenerator")
        awaited = awaited.replace(", None]", "]")
    assert given == awaited


def test_many_and_video_take_what_detect_takes() -> None:
    detect = inspect.signature(Client.detect).parameters
    for name in ("detect_many", "detect_video"):
        more = inspect.signature(getattr(Client, name)).parameters
        assert {**more, **detect} == {**more, "photo": detect["photo"]}


@pytest.mark.parametrize("name", CALLS)
def test_everything_is_documented(name: str) -> None:
    assert getattr(Client, name).__doc__
    assert getattr(AsyncClient, name).__doc__

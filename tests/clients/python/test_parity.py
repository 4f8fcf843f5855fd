"""The two clients are one, but for `await`."""

import inspect

import pytest
from boxport_client import AsyncClient, AsyncModels, Client, Models

CALLS = [
    "detect",
    "classify",
    "detect_many",
    "classify_many",
    "detect_video",
    "model",
    "health",
    "wait_until_ready",
    "close",
]
MODEL_CALLS = ["shadow", "canary", "rollout", "promote", "abort"]
BOTH = [
    *((Client, AsyncClient, name) for name in CALLS),
    *((Models, AsyncModels, name) for name in ["__call__", *MODEL_CALLS]),
]
STREAMS = {"detect_many", "classify_many", "detect_video"}


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_both_have_the_same_calls() -> None:
    assert public(Client) == public(AsyncClient) == {*CALLS, "models"}
    assert public(Models) == public(AsyncModels) == set(MODEL_CALLS)


@pytest.mark.parametrize(("one", "other", "name"), [*BOTH, (Client, AsyncClient, "__init__")])
def test_parameters_are_the_same(one: type, other: type, name: str) -> None:
    given = inspect.signature(getattr(one, name)).parameters
    assert list(given.values()) == list(inspect.signature(getattr(other, name)).parameters.values())


@pytest.mark.parametrize(("one", "other", "name"), BOTH)
def test_what_is_given_back_is_the_same(one: type, other: type, name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(other, name)) == (name not in STREAMS)
    given = inspect.signature(getattr(one, name)).return_annotation
    awaited = inspect.signature(getattr(other, name)).return_annotation
    if name in STREAMS:
        given = given.replace(", None, None]", "]").replace("Generator", "AsyncGenerator")
        awaited = awaited.replace(", None]", "]")
    assert given == awaited


def test_many_and_video_take_what_detect_takes() -> None:
    detect = inspect.signature(Client.detect).parameters
    for name in ("detect_many", "detect_video"):
        more = inspect.signature(getattr(Client, name)).parameters
        assert {**more, **detect} == {**more, "photo": detect["photo"]}


@pytest.mark.parametrize(("one", "other", "name"), BOTH)
def test_everything_is_documented(one: type, other: type, name: str) -> None:
    assert getattr(one, name).__doc__
    assert getattr(other, name).__doc__

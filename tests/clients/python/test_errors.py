"""The tree of errors is as it is drawn, and its errors travel."""

import inspect
import pickle
import re

import boxport_client
import pytest
from boxport_client import _errors
from boxport_client._errors import (
    ApiError,
    BoxportError,
    ConnectionFailed,
    InvalidRequest,
    Overloaded,
    PhotoError,
    RateLimited,
    RequestTimedOut,
    ServerError,
    Unauthorized,
    error_class,
)


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", _errors.__doc__)
    classes = {
        name: kind
        for name, kind in vars(_errors).items()
        if inspect.isclass(kind) and issubclass(kind, BoxportError)
    }
    assert set(drawn) | {"BoxportError"} == classes.keys() - {"Unanswered"}
    below = re.findall(r"    [├└]── (\w+)", _errors.__doc__)
    assert set(below) == {kind.__name__ for kind in ApiError.__subclasses__()}
    for name in drawn:
        assert getattr(boxport_client, name) is classes[name]
        assert classes[name].__module__ == "boxport_client"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, InvalidRequest),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (429, RateLimited),
        (500, ServerError),
        (502, ServerError),
        (503, Overloaded),
        (504, ServerError),
        (302, ApiError),
    ],
)
def test_classes_by_status(status: int, kind: type) -> None:
    assert error_class(status) is kind


@pytest.mark.parametrize(
    "error",
    [
        PhotoError("x"),
        ConnectionFailed("x", "id", 3),
        RequestTimedOut("x"),
        RateLimited(429, "rate_limited", "Slower.", True, "id", 2.0, 3),
    ],
)
def test_errors_go_from_process_to_process(error: BoxportError) -> None:
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)

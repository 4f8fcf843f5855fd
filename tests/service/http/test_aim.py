"""Which model a request is for, as its head says."""

import pytest

from service.http.aim import read_aim
from service.http.exchange import Exchange

JPEG, FORM, JSON = "image/jpeg", "multipart/form-data; boundary=x", "application/json"


def aim_of(path: str, content_type: str | None = JPEG) -> tuple[str | None, str | None, bool]:
    path, _, query = path.partition("?")
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
    }
    return read_aim(Exchange.begin(scope), scope)


@pytest.mark.parametrize(
    ("path", "content_type", "expected"),
    [
        ("/v1/detect", JPEG, ("detection", None, True)),
        ("/v1/detect", "Application/Octet-Stream; x=1", ("detection", None, True)),
        ("/v1/detect?model=a/2&top_k=1", JPEG, ("detection", "a/2", True)),
        ("/v1/classify?model=a%2F2", JPEG, ("classification", "a/2", True)),
        ("/v1/classify?model=a", FORM, ("classification", "a", True)),
        ("/v2/models/a/infer", JSON, (None, "a", True)),
        ("/v2/models/a/versions/2/infer", "image/jpeg", (None, "a/2", True)),
    ],
)
def test_the_head_says_it(path: str, content_type: str, expected: tuple) -> None:
    assert aim_of(path, content_type) == expected


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/v1/detect", FORM),
        ("/v1/detect?labels=cat", JSON),
        ("/v1/detect", None),
        ("/v1/detect?model=a&model=b", JPEG),
    ],
)
def test_the_body_may_say_another(path: str, content_type: str | None) -> None:
    assert not aim_of(path, content_type)[2]

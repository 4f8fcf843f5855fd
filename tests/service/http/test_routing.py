"""The table of routes guards what is behind it, however a path is written."""

import pytest

from service.http.routing import ROUTES, RouteRow, check_route, find_route
from service.problems import Problem


def path_of(row: RouteRow) -> str:
    return row.template.replace("{", "").replace("}", "")


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.template)
def test_a_path_finds_its_row(row: RouteRow) -> None:
    assert find_route(path_of(row)) is row


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.template)
@pytest.mark.parametrize("end", ["\n", "/", "//", " ", "\r", "/a/b/c"])
def test_what_is_appended_makes_another_path(row: RouteRow, end: str) -> None:
    found = find_route(path_of(row) + end)
    if found is not None:  # a parameter may be of any text, and then it needs no less
        assert "{" in found.template
        assert (found.scope is None) <= (row.scope is None)
        assert (found.scope == "admin") >= (row.scope == "admin")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/v1",
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        "/V1/models",
        "/v1/models/a/1/b/c",
        "/v1/detect\n",
        "/metrics\n",
        "/v2/repository/models/a/load\n",
        "/v2x",
        "/static_content/",
    ],
)
def test_a_path_that_is_in_no_row_is_not_there(path: str) -> None:
    assert find_route(path) is None
    with pytest.raises(Problem, match="POST /v1/detect") as caught:
        check_route(None, "GET", path)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/detect", "POST"),
        ("HEAD", "/v1/detect", "POST"),
        ("OPTIONS", "/v1/detect", "POST"),
        ("DELETE", "/v1/models", "GET"),
        ("GET", "/v1/models/a/1/unload", "POST"),
        ("POST", "/livez", "GET"),
    ],
)
def test_another_method_is_refused(method: str, path: str, allowed: str) -> None:
    with pytest.raises(Problem, match=f"takes {allowed}, not {method}") as caught:
        check_route(find_route(path), method, path)
    assert caught.value.code == "method_not_allowed"


def test_head_goes_where_get_goes() -> None:
    check_route(find_route("/livez"), "HEAD", "/livez")


def test_what_changes_models_needs_an_admin() -> None:
    admin = {row.template for row in ROUTES if row.scope == "admin"}
    assert admin == {
        "/v1/models/{name}/{version}/{action}",
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
    }
    assert all(row.scope for row in ROUTES if "POST" in row.methods)

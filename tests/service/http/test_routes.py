"""The table of routes guards what is behind it, however a path is written."""

import pytest

from service.http.context import Route
from service.http.replies import problem_json, v2_error
from service.http.routes import ROUTES, UNKNOWN, UNKNOWN_V2, check_method, find_route, path_below
from service.problems import Problem


def path_of(row: Route) -> str:
    return row.template.replace("{", "").replace("}", "")


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.template)
def test_a_path_finds_its_row(row: Route) -> None:
    found, parameters = find_route(path_of(row))
    assert found is row
    assert all(f"{{{name}}}" in row.template for name in parameters)
    assert row.template.count("{") == len(parameters)


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.template)
@pytest.mark.parametrize("end", ["\n", "/", "//", " ", "\r", "/a/b/c"])
def test_what_is_appended_makes_another_path(row: Route, end: str) -> None:
    found, _ = find_route(path_of(row) + end)
    if found not in (
        UNKNOWN,
        UNKNOWN_V2,
    ):  # a parameter may be of any text, and then it needs no less
        assert "{" in found.template or found.template == path_of(row) + end
        assert (found.scope is None) <= (row.scope is None)
        assert (found.scope == "admin") >= (row.scope == "admin")


def test_the_parameters_of_a_path_have_names() -> None:
    route, parameters = find_route("/v1/models/pets/3/pin")
    assert route.template == "/v1/models/{name}/{version}/{action}"
    assert parameters == {"name": "pets", "version": "3", "action": "pin"}


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
    route, parameters = find_route(path)
    assert route is (UNKNOWN_V2 if path.startswith("/v2") else UNKNOWN)
    assert not parameters
    with pytest.raises(Problem, match="POST /v1/detect") as caught:
        check_method(route, "GET", path)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/detect", "POST"),
        ("HEAD", "/v1/detect", "POST"),
        ("OPTIONS", "/v1/detect", "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("GET", "/v1/models/a/1/unload", "POST"),
        ("POST", "/livez", "GET, HEAD"),
    ],
)
def test_another_method_is_refused(method: str, path: str, allowed: str) -> None:
    with pytest.raises(Problem, match=f"takes {allowed}, not {method}") as caught:
        check_method(find_route(path)[0], method, path)
    assert caught.value.code == "method_not_allowed"


def test_head_goes_where_get_goes() -> None:
    check_method(find_route("/livez")[0], "HEAD", "/livez")


def test_what_changes_models_needs_an_admin() -> None:
    admin = {row.template for row in ROUTES if row.scope_of("POST") == "admin"}
    assert admin == {
        "/v1/models/{name}/{version}/shadow",
        "/v1/models/{name}/{version}/canary",
        "/v1/models/{name}/{version}/{action}",
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
    }
    assert all(row.scope for row in ROUTES if "POST" in row.methods)


def test_errors_under_v2_have_the_protocols_shape() -> None:
    assert {row.template[:3] == "/v2" for row in ROUTES if row.dialect is v2_error} == {True}
    assert {row.template[:3] == "/v2" for row in ROUTES if row.dialect is problem_json} == {False}


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/a/b/v1/detect", "/v1/detect"),
        ("/v1/detect", "/v1/detect"),  # a proxy has stripped it
        ("/a/b", "/"),
        ("/a/b/", "/"),
        ("/a/bc", "/a/bc"),
        ("/a/b/a/b/livez", "/a/b/livez"),
        ("/a/b//livez", "//livez"),
    ],
)
def test_the_root_path_is_taken_off_once(path: str, below: str) -> None:
    assert path_below("/a/b", path) == below
    assert path_below("", path) == path

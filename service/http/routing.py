"""The table of routes: what is where, how it is asked, and who may.

What is not in it is not there, whatever a router behind the gate would make of the path: Starlette
takes "/v1/detect\\n" for "/v1/detect", and a scope that is looked up by another reading of the path
than the router's guards nothing.
"""

import re
from dataclasses import dataclass

from service.access.key_file import Scope
from service.manifest import Task
from service.problems import Problem

OTHER = "other"  # the template of what is not in the table


@dataclass(frozen=True)
class RouteRow:
    """A row of `ROUTES`.

    template: of the path, as metrics and logs name it.
    scope: what a key must allow; None where nobody needs one.
    brings_images: whether there must be room for images before a request's body is read.
    task: that the images are for, where the path tells.
    """

    template: str
    methods: tuple[str, ...]
    scope: Scope | None
    brings_images: bool = False
    task: Task | None = None

    @property
    def accepted(self) -> tuple[str, ...]:
        """The methods that are let in: where there is GET, HEAD is meant too."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods

    @property
    def pattern(self) -> re.Pattern[str]:
        """Of the paths: a {parameter} is one part of them."""
        return re.compile(re.sub(r"\{\w+\}", "[^/]+", self.template))


_Row = RouteRow
ROUTES = (
    _Row("/v1/detect", ("POST",), "infer", True, "detection"),
    _Row("/v1/classify", ("POST",), "infer", True, "classification"),
    _Row("/v1/models", ("GET",), "infer"),
    _Row("/v1/models/{name}", ("GET",), "infer"),
    _Row("/v1/models/{name}/{version}", ("GET",), "infer"),
    _Row("/v1/models/{name}/{version}/{action}", ("POST",), "admin"),
    _Row("/v2", ("GET",), "infer"),
    _Row("/v2/health/live", ("GET",), None),
    _Row("/v2/health/ready", ("GET",), None),
    _Row("/v2/models/{name}", ("GET",), "infer"),
    _Row("/v2/models/{name}/ready", ("GET",), "infer"),
    _Row("/v2/models/{name}/infer", ("POST",), "infer", True),
    _Row("/v2/models/{name}/versions/{version}", ("GET",), "infer"),
    _Row("/v2/models/{name}/versions/{version}/ready", ("GET",), "infer"),
    _Row("/v2/models/{name}/versions/{version}/infer", ("POST",), "infer", True),
    _Row("/v2/repository/index", ("POST",), "infer"),
    _Row("/v2/repository/models/{name}/load", ("POST",), "admin"),
    _Row("/v2/repository/models/{name}/unload", ("POST",), "admin"),
    _Row("/metrics", ("GET",), "infer"),
    _Row("/livez", ("GET",), None),
    _Row("/readyz", ("GET",), None),
    _Row("/healthz", ("GET",), None),
    # the pages hold no secrets; what they ask for needs the key
    _Row("/playground", ("GET",), None),
    _Row("/playground/{file}", ("GET",), None),
    _Row("/playground/client/{file}", ("GET",), None),
    _Row("/docs", ("GET",), None),
    _Row("/docs.js", ("GET",), None),
    _Row("/docs.json", ("GET",), None),
    _Row("/schema.json", ("GET",), None),
    _Row("/static_content/{file}", ("GET",), None),
    _Row("/", ("GET",), None),
)
_BY_PATH = {row.template: row for row in ROUTES}
_PATTERNS = [(row.pattern, row) for row in ROUTES if "{" in row.template]


def find_route(path: str) -> RouteRow | None:
    """The row that ``path`` is of, if there is one."""
    if (row := _BY_PATH.get(path)) is not None:
        return row
    return next((row for pattern, row in _PATTERNS if pattern.fullmatch(path)), None)


def check_route(row: RouteRow | None, method: str, path: str) -> None:
    """Raise Problem if there is nothing at ``path``, whose row is given, or not by this method."""
    if row is None:
        known = ", ".join(f"{' '.join(r.methods)} {r.template}" for r in ROUTES if r.scope)
        raise Problem("not_found", f"There is nothing at {path}; there are {known}.")
    if method not in row.accepted:
        allowed = ", ".join(row.methods)
        raise Problem("method_not_allowed", f"{path} takes {allowed}, not {method}.")

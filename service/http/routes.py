"""The table of routes: what is where, how it is asked, who may ask, and what answers.

What is not in it is not there. The row that is looked up for a path, with its scope, is also the
one whose endpoint is called: a router of another reading of the path could be led round the scope.
"""

import re
from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType

import orjson
from starlette.responses import Response

from service.http import pages, rollouts, v1
from service.http.context import RequestContext, Route
from service.http.openapi.document import describe_api
from service.http.replies import JSON_TYPE, v2_error
from service.http.v2 import endpoints as v2
from service.problems import Problem, quoted

GET, POST, BOTH = ("GET",), ("POST",), ("GET", "POST")
NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


async def show_api(context: RequestContext) -> Response:
    """The OpenAPI description of this very table."""
    return Response(_api_json(context.worker.settings.root_path), media_type=JSON_TYPE)


@cache
def _api_json(root: str) -> bytes:
    """Made once: it is long, and who asks for it over and over must not cost others their time."""
    return orjson.dumps(describe_api(ROUTES, root))


ROUTES = (
    Route("/v1/detect", POST, "infer", v1.detect, brings_images=True, task="detection"),
    Route("/v1/classify", POST, "infer", v1.classify, brings_images=True, task="classification"),
    Route("/v1/models", GET, "infer", v1.list_models),
    Route("/v1/models/{name}", GET, "infer", v1.show_model),
    Route("/v1/models/{name}/{version}", GET, "infer", v1.show_model),
    Route("/v1/models/{name}/{version}/shadow", BOTH, "infer", rollouts.shadow, post_scope="admin"),
    Route("/v1/models/{name}/{version}/canary", BOTH, "infer", rollouts.canary, post_scope="admin"),
    Route("/v1/models/{name}/{version}/{action}", POST, "admin", v1.administer),
    Route("/v2", GET, "infer", v2.show_server, v2_error),
    Route("/v2/health/live", GET, None, v2.show_live, v2_error),
    Route("/v2/health/ready", GET, None, v2.show_ready, v2_error),
    Route("/v2/models/{name}", GET, "infer", v2.show_model, v2_error),
    Route("/v2/models/{name}/config", GET, "infer", v2.show_model_config, v2_error),
    Route("/v2/models/{name}/ready", GET, "infer", v2.show_model_ready, v2_error),
    Route("/v2/models/{name}/infer", POST, "infer", v2.infer, v2_error, brings_images=True),
    Route("/v2/models/{name}/versions/{version}", GET, "infer", v2.show_model, v2_error),
    Route(
        "/v2/models/{name}/versions/{version}/config", GET, "infer", v2.show_model_config, v2_error
    ),
    Route(
        "/v2/models/{name}/versions/{version}/ready", GET, "infer", v2.show_model_ready, v2_error
    ),
    Route(
        "/v2/models/{name}/versions/{version}/infer",
        POST,
        "infer",
        v2.infer,
        v2_error,
        brings_images=True,
    ),
    Route("/v2/repository/index", POST, "infer", v2.list_repository, v2_error),
    Route("/v2/repository/models/{name}/load", POST, "admin", v2.load, v2_error),
    Route("/v2/repository/models/{name}/unload", POST, "admin", v2.unload, v2_error),
    Route("/metrics", GET, "infer", v1.show_metrics),
    Route("/livez", GET, None, None),
    Route("/readyz", GET, None, None),
    Route("/healthz", GET, None, None),
    # the pages hold no secrets; what they ask for needs the key
    Route("/playground", GET, None, pages.show_playground),
    Route("/playground/", GET, None, pages.show_playground_itself),
    Route("/playground/{file}", GET, None, pages.show_playground_file),
    Route("/playground/client/{file}", GET, None, pages.show_client_file),
    Route("/docs", GET, None, pages.show_api_page),
    Route("/docs.js", GET, None, partial(pages.show_file, "api.js")),
    Route("/docs.json", GET, None, show_api),
    Route("/schema.json", GET, None, None),
    Route("/static_content/{file}", GET, None, pages.show_swagger_file),
    Route("/", GET, None, pages.show_start),
)
# What stands for the row of a path that is in none, under /v2 and elsewhere.
UNKNOWN_V2 = Route("other", (), None, None, v2_error)
UNKNOWN = Route("other", (), None, None)

_BY_PATH = {row.template: row for row in ROUTES}
_PATTERNS = [
    (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", row.template)), row)
    for row in ROUTES
    if "{" in row.template
]


def find_route(path: str) -> tuple[Route, Mapping[str, str]]:
    """The row that ``path`` is of, `UNKNOWN` or `UNKNOWN_V2` if there is none, and the parameters
    of the path by name."""
    if (route := _BY_PATH.get(path)) is not None:
        return route, NO_PARAMETERS
    for pattern, route in _PATTERNS:
        if match := pattern.fullmatch(path):
            return route, match.groupdict()
    return UNKNOWN_V2 if path.startswith("/v2") else UNKNOWN, NO_PARAMETERS


def path_below(root: str, path: str) -> str:
    """What of ``path`` comes after ``root``, the setting root_path, as templates have it. Where it
    does not begin so, a proxy has stripped it already."""
    if root and f"{path}/".startswith(f"{root}/"):
        return path[len(root) :] or "/"
    return path


def check_method(route: Route, method: str, path: str, root: str = "") -> None:
    """Raise Problem if ``path``, which is of ``route``, is not there, or not by ``method``.

    root: the setting root_path.
    """
    if not route.methods:
        known = ", ".join(f"{' '.join(r.methods)} {root}{r.template}" for r in ROUTES if r.scope)
        raise Problem("not_found", f"There is nothing at {quoted(path)[1:-1]}; there are {known}.")
    if method not in route.allowed:
        allowed = ", ".join(route.allowed)
        raise Problem("method_not_allowed", f"{quoted(path)[1:-1]} takes {allowed}, not {method}.")

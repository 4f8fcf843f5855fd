"""What people see in a browser: the playground, the description of the API, and the way to both."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from service.http.exchange import Exchange
from service.http.replies import json_reply
from service.worker import current_worker

FOLDER = Path(__file__).parent.parent / "playground"
PLAYGROUND = "index.html"
API_PAGE, API_SCRIPT = "api.html", "api.js"
PLAYGROUND_HEADERS = {
    # Nothing of the page stands in the page itself, and nothing of it comes from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Asked for again each time, for a 304: a page of one release fails with a script of another.
FRESH = {"Cache-Control": "no-cache"}
LINKS = {
    "description": "docs.json",
    "documentation": "docs",
    "models": "v1/models",
    "detect": "v1/detect",
    "classify": "v1/classify",
    "health": "readyz",
}

_files = StaticFiles(directory=FOLDER)


async def lead(request: Request) -> Response:
    """A person is sent to the playground; a program gets links, relative to this address."""
    wanted = request.headers.get("accept", "")
    if _is_open() and "text/html" in wanted:
        reply: Response = RedirectResponse("playground")  # relative: a proxy may add a prefix
    else:
        links = {**LINKS, "playground": "playground"} if _is_open() else LINKS
        reply = json_reply({"name": "Boxport", "links": links}, _request_id(request))
    reply.headers["Vary"] = "Accept"
    return reply


async def show_playground(request: Request) -> Response:
    reply = await _playground_file(request, PLAYGROUND)
    reply.headers.update(PLAYGROUND_HEADERS)
    return reply


async def show_playground_file(request: Request) -> Response:
    """A script, style or picture of the playground; pages have addresses of their own."""
    name = request.path_params["file"]
    if name.endswith(".html"):
        raise HTTPException(404)
    return await _playground_file(request, name)


async def show_client_file(request: Request) -> Response:
    """A module of the TypeScript client, by which the playground asks."""
    return await _playground_file(request, f"client/{request.path_params['file']}")


async def show_api_page(request: Request) -> Response:
    """The description of the API for people, by the Swagger UI that BentoML brings."""
    return await _file(request, API_PAGE)


async def show_api_script(request: Request) -> Response:
    return await _file(request, API_SCRIPT)


async def _playground_file(request: Request, path: str) -> Response:
    if not _is_open():
        raise HTTPException(404)
    return await _file(request, path)


async def _file(request: Request, path: str) -> Response:
    """Raises HTTPException if there is none; replies 304 to a browser that has it."""
    reply = await _files.get_response(path, request.scope)
    reply.headers.update(FRESH)
    return reply


def _is_open() -> bool:
    return current_worker().settings.playground


def _request_id(request: Request) -> str:
    return Exchange.of(request.scope).request_id


page_routes = [
    Route("/", lead),
    Route("/docs", show_api_page),
    Route("/docs.js", show_api_script),
    Route("/playground", show_playground),
    Route("/playground/{file}", show_playground_file),
    Route("/playground/client/{file}", show_client_file),
]

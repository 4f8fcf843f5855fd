"""What people see in a browser: the playground, the description of the API, and the way to both."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from service.http.context import RequestContext
from service.http.replies import json_reply

FOLDER = Path(__file__).parent.parent / "playground"
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


async def show_start(context: RequestContext) -> Response:
    """A person is sent to the playground; a program gets links, relative to this address."""
    settings = context.worker.settings
    # relative where it can be, for a proxy may add a prefix; the prefix itself may lack its slash
    start = f"{settings.root_path}/" if settings.root_path else ""
    if settings.playground and "text/html" in context.headers.get("accept", ""):
        reply: Response = RedirectResponse(f"{start}playground")
    else:
        links = {**LINKS, "playground": "playground"} if settings.playground else LINKS
        named = {name: start + link for name, link in links.items()}
        reply = json_reply({"name": "Boxport", "links": named})
    reply.headers["Vary"] = "Accept"
    return reply


async def show_playground(context: RequestContext) -> Response:
    reply = await _playground_file("index.html", context)
    reply.headers.update(PLAYGROUND_HEADERS)
    return reply


async def show_playground_itself(context: RequestContext) -> Response:
    """People type a slash at the end; the page's own links begin where there is none."""
    if not context.worker.settings.playground:
        raise HTTPException(404)
    return RedirectResponse("../playground")


async def show_playground_file(context: RequestContext) -> Response:
    """A script, style or picture of the playground; pages have addresses of their own."""
    name = context.parameters["file"]
    if name.endswith(".html"):
        raise HTTPException(404)
    return await _playground_file(name, context)


async def show_client_file(context: RequestContext) -> Response:
    """A module of the TypeScript client, by which the playground asks."""
    return await _playground_file(f"client/{context.parameters['file']}", context)


async def show_file(path: str, context: RequestContext) -> Response:
    """The file at ``path`` in the playground's folder, or 304 to a browser that has it.

    Raises HTTPException if there is none.
    """
    reply = await _files.get_response(path, context.scope)
    reply.headers.update(FRESH)
    return reply


async def _playground_file(path: str, context: RequestContext) -> Response:
    if not context.worker.settings.playground:
        raise HTTPException(404)
    return await show_file(path, context)

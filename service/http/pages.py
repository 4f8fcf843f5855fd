"""What people see in a browser: the playground, the description of the API, and the way to both."""

import hashlib
import re
from functools import cache
from pathlib import Path

import bentoml
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
# Asked for again each time, for a 304: a page of one release fails with a script of another. What
# is asked for by its hash never changes.
FRESH = {"Cache-Control": "no-cache"}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
HASH = "v"  # the parameter
LINKS = {
    "description": "docs.json",
    "documentation": "docs",
    "models": "v1/models",
    "detect": "v1/detect",
    "classify": "v1/classify",
    "health": "readyz",
}

# Swagger UI, which BentoML brings.
SWAGGER_FOLDER = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"

_files = StaticFiles(directory=FOLDER)
_swagger = StaticFiles(directory=SWAGGER_FOLDER)


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


async def show_api_page(context: RequestContext) -> Response:
    return Response(_api_page(), media_type="text/html", headers=FRESH)


async def show_swagger_file(context: RequestContext) -> Response:
    """A file of Swagger UI, which the page of the API loads once a reader wants to try requests."""
    return await _show(_swagger, context.parameters["file"], context)


async def show_file(path: str, context: RequestContext) -> Response:
    """The file at ``path`` in the playground's folder, or 304 to a browser that has it.

    Raises HTTPException if there is none.
    """
    return await _show(_files, path, context)


async def _show(files: StaticFiles, path: str, context: RequestContext) -> Response:
    reply = await files.get_response(path, context.scope)
    reply.headers.update(KEPT if HASH in dict(context.query) else FRESH)
    return reply


@cache
def _api_page() -> bytes:
    """The page of the API, which names its files by their hashes."""

    def with_hash(found: re.Match[str]) -> str:
        file = FOLDER / "api.js" if found[1] == "docs.js" else SWAGGER_FOLDER / Path(found[1]).name
        return f'"{found[1]}?{HASH}={hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"'

    page = (FOLDER / "api.html").read_text("utf-8")
    return re.sub(r'"(docs\.js|static_content/[\w.-]+)"', with_hash, page).encode()


async def _playground_file(path: str, context: RequestContext) -> Response:
    if not context.worker.settings.playground:
        raise HTTPException(404)
    return await show_file(path, context)

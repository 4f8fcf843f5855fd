"""The endpoints of /v1: images, models and their administration; and the metrics.

A request brings one or more images and their parameters, in any of three forms:

    multipart/form-data   repeated file field ``images``, parameters as fields
    image/*               one image as the body, parameters in the query
    application/json      {"images": [{"base64": "…"}, …], parameters as members}

Parameters may also stand in the query of the other two forms.
"""

import asyncio
import binascii
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response

from service.access.rates import address_name
from service.engine.admission import Room
from service.engine.answer import Content
from service.fetch.fetcher import UrlFetcher
from service.http.body import PIECE_BYTES, decode_base64, load_json, read_whole_body
from service.http.context import RequestContext
from service.http.descriptions import describe
from service.http.replies import answer_reply, json_reply, with_sample
from service.inference.model import PARAMETERS
from service.manifest import Task
from service.parameters import read_parameters
from service.problems import Problem, quoted
from service.rollout.plan import Phase
from service.settings import Settings

ENDINGS: dict[str, Phase] = {"promote": "promoted", "abort": "aborted"}
ACTIONS = ("load", "unload", "pin", "unpin", *ENDINGS)
FORM, JSON = "multipart/form-data", "application/json"
MAX_FIELDS = 100  # of a form, beside its files and regions
MAX_JSON_VALUES = 10_000  # images, labels and the other parameters
MAX_NAME = 100  # characters of a model's name that are recorded
LIST_PARAMETERS = frozenset({"labels", "regions"})


@dataclass(frozen=True)
class LinkedImage:
    """An image that lies behind a URL."""

    url: str
    fetcher: UrlFetcher
    caller: str

    async def read(self) -> bytes:
        """Raises Problem if it may not, or cannot, be fetched."""
        return await self.fetcher.fetch(self.url, self.caller)


@dataclass(frozen=True)
class ImageRequest:
    """Files' bytes, links, or what is wrong with one, in order; and the parameters as sent.

    texts: parameters of the query or of a form. ``typed``: those of JSON.
    """

    images: list[Content]
    texts: dict[str, Any]
    typed: dict[str, Any]

    @property
    def model(self) -> str | None:
        """The name of the model that is asked for, without a version, to be recorded."""
        named = {**self.texts, **self.typed}.get("model")
        return named[:MAX_NAME].partition("/")[0] or None if isinstance(named, str) else None


async def detect(context: RequestContext) -> Response:
    """Find objects in one or more images."""
    return await answer("detection", context)


async def classify(context: RequestContext) -> Response:
    """Say what one or more images show."""
    return await answer("classification", context)


async def answer(task: Task, context: RequestContext) -> Response:
    """Run a model on the images of a request: read, infer, reply."""
    engine = context.worker.engine
    with engine.admission.hold_bytes() as room:
        sent = await read_request(context, room)
        context.images, context.model = len(sent.images), sent.model
        parameters = read_parameters(PARAMETERS[task], sent.texts, sent.typed)
        found = await context.while_connected(
            engine.answer(
                task,
                sent.images,
                parameters,
                context.policy,
                context.key_for(parameters.model),
            )
        )
    context.note_answer(found)
    return with_sample(answer_reply(found, context.request_id), found, engine)


async def read_request(context: RequestContext, room: Room) -> ImageRequest:
    """Read a request in any form; raises Problem if it is in none, or too large.

    ``room`` is that of the body.
    """
    settings = context.worker.settings
    if not (context.is_raw_image or context.content_type in (FORM, JSON)):
        raise Problem(
            "unsupported_media_type",
            f"The content type is {context.content_type or 'missing'}; send multipart/form-data"
            " with files in the field 'images', an image/* body, or application/json.",
        )
    body = await read_whole_body(context, settings.max_body_bytes, room)
    texts: dict[str, Any] = {}
    typed: dict[str, Any] = {}
    if context.content_type == FORM:
        images, texts = await _from_multipart(body, context.headers["content-type"], settings)
    elif context.content_type == JSON:
        images, typed = await _from_json(body, context)
    else:
        images = [body] if body else []
    if not images:
        raise Problem("empty_body", "The request has no image.")
    if len(images) > settings.max_images:
        raise Problem(
            "too_many_images", f"{len(images)} images; at most {settings.max_images} a request."
        )
    query = _collect(context.query)
    if twice := query.keys() & (texts.keys() | typed.keys()):
        raise _given_twice(twice.pop())
    return ImageRequest(images, {**query, **texts}, typed)


class _FormParser(MultiPartParser):
    """Starlette's parser of forms that are in memory already, so without its temporary files.

    is_whole: whether the last boundary has come; without it a part may have been lost, and the one
    that was cut is.
    """

    spool_max_size = 2**62
    is_whole = False

    def on_headers_finished(self) -> None:
        """Take an image as a file also if its part says so in another way than by filename=: by
        filename*= (urllib3 1, for names that are not ASCII), or by a type that is no text's."""
        part = self._current_part
        disposition = part.content_disposition or b""
        kind = dict(part.item_headers).get(b"content-type", b"text/plain").strip().lower()
        is_image = parse_options_header(disposition)[1].get(b"name") == b"images"
        if is_image and (b"filename*" in disposition.lower() or not kind.startswith(b"text/")):
            part.content_disposition = disposition + b'; filename=""'  # nobody reads the name
        super().on_headers_finished()

    def on_end(self) -> None:
        self.is_whole = True


async def _from_multipart(
    body: bytes, header: str, settings: Settings
) -> tuple[list[Content], dict[str, Any]]:
    async def stream() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), PIECE_BYTES):
            yield body[start : start + PIECE_BYTES]
            if len(body) > PIECE_BYTES:
                await asyncio.sleep(0)  # others have a turn
        if body and not parser.is_whole:
            raise Problem("malformed_body", "The form ends before its last boundary.")

    headers = Headers({"Content-Type": header})
    parser = _FormParser(
        headers,
        stream(),
        max_files=settings.max_images + 1,
        max_fields=settings.max_regions + MAX_FIELDS,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        # a KeyError is a boundary that the header does not state
        reason = getattr(error, "message", "no boundary is stated")
        raise Problem("malformed_body", f"The multipart body cannot be read: {reason}") from error
    images: list[Content] = []
    fields: list[tuple[str, Any]] = []
    for name, part in form.multi_items():
        if isinstance(part, UploadFile) and name == "images":
            images.append(await _decode_part(await part.read(), part.headers))
            await part.close()
        elif isinstance(part, UploadFile):
            raise Problem(
                "unknown_parameter", f"There is no file field {quoted(name)}; use 'images'."
            )
        elif name == "images":
            raise Problem(
                "invalid_parameter", "images: send each as a file, with a file name (curl: @)."
            )
        else:
            fields.append((name, part))
    return images, _collect(fields)


async def _decode_part(content: bytes, headers: Headers) -> Content:
    """The bytes of a file of a form; what was made for mail may have written them in letters."""
    encoding = headers.get("content-transfer-encoding", "binary").strip().lower()
    match encoding:
        case "binary" | "8bit" | "7bit":
            return content
        case "base64":
            try:
                return await decode_base64(content.decode("latin-1"))
            except ValueError as error:
                return Problem("invalid_image", f"The file cannot be decoded as base64: {error}.")
        case "quoted-printable":
            return binascii.a2b_qp(content)
    return Problem("invalid_image", f"Content-Transfer-Encoding: {quoted(encoding)} is not known.")


async def _from_json(body: bytes, context: RequestContext) -> tuple[list[Content], dict[str, Any]]:
    content = load_json(body, MAX_JSON_VALUES)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise Problem(
            "malformed_body", 'The JSON body must be {"images": [{"base64": "…"}], …parameters}.'
        )
    images = [await _from_json_image(image, context) for image in content.pop("images")]
    return images, content


async def _from_json_image(image: Any, context: RequestContext) -> Content:
    """The bytes of one member of ``images``, where to get them, or what is wrong with it."""
    if not isinstance(image, dict) or len(image) != 1 or not image.keys() <= {"base64", "url"}:
        return Problem("invalid_image", 'An image in JSON is {"base64": "…"} or {"url": "…"}.')
    if "url" in image:
        return _from_url(image["url"], context)
    text = image["base64"]
    if not isinstance(text, str):
        return Problem("invalid_image", "base64 must be a string.")
    try:
        return await decode_base64(text)
    except ValueError as error:
        return Problem("invalid_image", f"The base64 text cannot be decoded: {error}.")


def _from_url(url: Any, context: RequestContext) -> Content:
    if not isinstance(url, str):
        return Problem("invalid_image", "url must be a string.")
    if (fetcher := context.worker.fetcher) is None:
        return Problem("url_not_allowed", "This service fetches no URLs; send the image's bytes.")
    caller = context.caller or address_name(context.address)
    return LinkedImage(url, fetcher, f"{caller} {context.policy.priority.value}")


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Names and texts as a mapping; only a list may be given several times."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in LIST_PARAMETERS:
            values.setdefault(name, []).append(text)
        elif name in values:
            raise _given_twice(name)
        else:
            values[name] = text
    return values


def _given_twice(name: str) -> Problem:
    return Problem("invalid_parameter", f"{quoted(name)[1:-1]} is given twice.")


async def list_models(context: RequestContext) -> Response:
    """Every model's manifest, labels included, and how it is served."""
    engine = context.worker.engine
    listed = [describe(one, engine) for one in engine.repository.versions]
    return json_reply({"models": listed})


async def show_model(context: RequestContext) -> Response:
    """The model that the path names, with or without a version, even if it is not served."""
    engine = context.worker.engine
    return json_reply(describe(engine.repository.show(context.path_reference), engine))


async def administer(context: RequestContext) -> Response:
    """Load, unload, pin or unpin a version, or end its rollout; the reply is what `show_model` then
    says of it."""
    engine, action = context.worker.engine, context.parameters["action"]
    reference = (context.parameters["name"], context.parameters["version"])
    match action:
        case "load":
            # others may wait for the same load: it goes on if this caller leaves
            await asyncio.shield(asyncio.wrap_future(engine.repository.load(reference)))
        case "unload":
            engine.repository.unload(reference)
        case "pin" | "unpin":
            engine.repository.pin(reference, pinned=action == "pin")
        case "promote" | "abort":
            ended = await asyncio.to_thread(engine.rollouts.end, reference, ENDINGS[action])
            await asyncio.shield(asyncio.wrap_future(ended))
            action = "rollout"
        case _:
            raise Problem(
                "not_found", f"There is no action {quoted(action)}; there are {', '.join(ACTIONS)}."
            )
    await engine.orders.announce(action, reference)
    return await show_model(context)


async def show_metrics(context: RequestContext) -> Response:
    """What Prometheus reads."""
    content, media_type = context.worker.metrics.render(context.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": media_type})

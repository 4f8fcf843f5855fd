"""The endpoints of the Open Inference Protocol V2 over HTTP, with Triton's extensions for binary
tensor data and the model repository: JSON and bytes ─ body ─► `operations` ─► JSON and bytes.
"""

from starlette.responses import Response

from service.http.body import read_whole_body
from service.http.context import RequestContext
from service.http.replies import json_reply, with_sample
from service.http.v2 import operations
from service.http.v2.body import (
    LENGTH_HEADER,
    ChangePart,
    IndexPart,
    JsonPart,
    read_infer_body,
    read_json,
)
from service.http.v2.metadata import SERVER
from service.http.v2.outputs import Predictions, infer_reply
from service.request import check_live, check_ready

MAX_COMMAND_BYTES = 64 * 1024  # of a request to the repository


async def show_server(context: RequestContext) -> Response:
    return json_reply(SERVER)


async def show_live(context: RequestContext) -> Response:
    check_live(context.worker)
    return json_reply({"live": True})


async def show_ready(context: RequestContext) -> Response:
    check_ready(context.worker)
    return json_reply({"ready": True})


async def show_model(context: RequestContext) -> Response:
    return json_reply(operations.describe_model(context))


async def show_model_config(context: RequestContext) -> Response:
    return json_reply(operations.configure_model(context))


async def show_model_ready(context: RequestContext) -> Response:
    operations.find(context)
    return json_reply({"name": context.parameters["name"], "ready": True})


async def infer(context: RequestContext) -> Response:
    """Run a model on the images of a request."""
    engine, settings = context.worker.engine, context.worker.settings
    with engine.admission.hold_bytes() as room:
        content = await read_whole_body(context, settings.max_body_bytes, room)
        body = read_infer_body(content, context.headers.get(LENGTH_HEADER.lower()))
        task, asked = await operations.prepare(context, body)
        del content, body  # nothing else keeps it in memory while the model runs
        answer = await context.while_connected(operations.run(context, task, asked))
    predictions = Predictions.of(answer, asked.max_rows)
    reply = infer_reply(answer, predictions, asked.outputs, asked.id)
    return with_sample(reply, answer, engine)


async def list_repository(context: RequestContext) -> Response:
    """Every version of every model; if asked, those that are served."""
    asked = await _read_command(context, IndexPart)
    return json_reply(operations.list_versions(context, ready=asked.ready))


async def load(context: RequestContext) -> Response:
    asked = await _read_command(context, ChangePart)
    await operations.load(context, asked.parameters)
    return json_reply({})


async def unload(context: RequestContext) -> Response:
    asked = await _read_command(context, ChangePart)
    await operations.unload(context, asked.parameters)
    return json_reply({})


async def _read_command(context: RequestContext, kind: type[JsonPart]) -> JsonPart:
    """The JSON of a request to the repository; an empty body is an empty object."""
    with context.worker.engine.admission.hold_bytes() as room:
        return read_json(kind, await read_whole_body(context, MAX_COMMAND_BYTES, room) or b"{}")

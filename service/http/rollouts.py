"""The endpoints of versions that are tried on live traffic."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from service.http.body import read_whole_body
from service.http.context import RequestContext
from service.http.replies import json_reply
from service.problems import Problem, quoted
from service.rollout.plan import Canary, Plan, Shadow
from service.rollout.report import dump, report

MAX_BODY_BYTES = 64 * 1024

Order = TypeVar("Order", bound=BaseModel)


async def shadow(context: RequestContext) -> Response:
    """Begin to run copies of requests on a version, or say how it does."""
    if context.method == "POST":
        asked = await _read(context, Shadow)
        await _begin(context, Plan(version=context.parameters["version"], shadow=asked))
    return _show(context)


async def canary(context: RequestContext) -> Response:
    """Begin to have a version answer requests, or say how it does."""
    if context.method == "POST":
        asked = await _read(context, Canary)
        await _begin(context, Plan(version=context.parameters["version"], canary=asked))
    return _show(context)


async def _begin(context: RequestContext, plan: Plan) -> None:
    name, engine = context.parameters["name"], context.worker.engine
    begun = await asyncio.to_thread(engine.rollouts.begin, name, plan)
    # it goes on if this caller leaves
    await asyncio.shield(asyncio.wrap_future(begun))
    await engine.orders.announce("rollout", (name, plan.version))


def _show(context: RequestContext) -> Response:
    name, version = context.parameters["name"], context.parameters["version"]
    rollout = context.worker.engine.rollouts.of((name, version))
    if rollout is None:
        raise Problem("not_found", f"There is no rollout of {quoted(f'{name}/{version}')}.")
    return json_reply(dump(report(rollout)))


async def _read(context: RequestContext, kind: type[Order]) -> Order:
    """The JSON of a request; raises Problem if it is wrong."""
    with context.worker.engine.admission.hold_bytes() as room:
        body = await read_whole_body(context, MAX_BODY_BYTES, room)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = ", ".join(kind.model_fields)
            raise Problem(
                "unknown_parameter", f"There is no parameter {quoted(where)}; there are {known}."
            ) from None
        code = "malformed_body" if first["type"] == "json_invalid" else "invalid_parameter"
        raise Problem(code, f"{where}: {said}." if where else f"{said}.") from None

"""Writing replies as the protocol has them: JSON, and after it the tensors wanted as bytes."""

from typing import Any

import orjson
from starlette.responses import Response

from service.engine.engine import Answer
from service.http.exchange import Exchange
from service.http.replies import json_reply, problem_headers, timing_ms
from service.http.v2.outputs import Found, make_output
from service.http.v2.request import LENGTH_HEADER
from service.problems import Problem
from service.telemetry.server_timing import server_timing


def infer_reply(
    answer: Answer, request_id: str, found: Found, outputs: dict[str, bool]
) -> Response:
    """``outputs``, of each whether it is wanted as bytes; ``request_id`` is the body's own."""
    parts: list[bytes] = []
    described: list[dict[str, Any]] = []
    for name, binary in outputs.items():
        tensor = make_output(name, found)
        output: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": tensor.shape}
        if binary:
            parts.append(tensor.to_bytes())
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = tensor.to_json()
        described.append(output)
    manifest = answer.manifest
    reply = {"model_name": manifest.name, "model_version": manifest.version, "outputs": described}
    if request_id:
        reply["id"] = request_id
    text = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = {"Server-Timing": server_timing(timing_ms(answer))}
    if not parts:
        return Response(text, media_type="application/json", headers=headers)
    headers[LENGTH_HEADER] = str(len(text))
    return Response(
        b"".join([text, *parts]), media_type="application/octet-stream", headers=headers
    )


def error_reply(exchange: Exchange, problem: Problem) -> Response:
    """A problem in the protocol's shape, which is one text."""
    exchange.reason = problem.code
    content = {"error": f"{problem.code}: {problem.detail}"}
    reply = json_reply(content, exchange.request_id, problem_headers(problem))
    reply.status_code = problem.kind.status
    return reply

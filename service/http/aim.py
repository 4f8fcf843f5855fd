"""Reading from a request's head which model it is for."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from service.http.body import content_type_of, is_raw_image
from service.http.exchange import Exchange
from service.manifest import Task

MODEL_PLACE = ("", "v2", "models")  # what stands before a model's name in a path of the V2 protocol


def read_aim(exchange: Exchange, scope: Mapping[str, Any]) -> tuple[Task | None, str | None, bool]:
    """Of the request that ``scope`` and ``exchange`` are of, on a route that brings images.

    In /v2 the path names the model. In /v1 the query does, or else a form or JSON may; a raw image
    says nothing more.
    """
    task = exchange.route.task if exchange.route else None
    match exchange.path.split("/"):
        case [*place, name, "infer"] if tuple(place) == MODEL_PLACE:
            return task, name, True
        case [*place, name, "versions", version, "infer"] if tuple(place) == MODEL_PLACE:
            return task, f"{name}/{version}", True
    query = scope["query_string"]
    if query and (named := parse_qs(query.decode("latin-1")).get("model", [])):
        return task, named[0], len(named) == 1
    return task, None, is_raw_image(content_type_of(exchange.headers))

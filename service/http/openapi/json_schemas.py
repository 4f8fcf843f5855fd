"""JSON schemas of what is asked and answered, from the classes that check and describe it.

pydantic says what a class takes. In a reply, what is not set is left out, and what has a default is
always there; and a query has no null.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

Schema = dict[str, Any]

REFERENCES = "#/components/schemas/"
NULL = {"type": "null"}


def reference(shape: type[BaseModel] | str) -> Schema:
    return {"$ref": REFERENCES + (shape if isinstance(shape, str) else shape.__name__)}


def reply_schemas(shapes: Sequence[type[BaseModel]]) -> dict[str, Schema]:
    """Of ``shapes`` and all that they are made of, by name, as the service replies them."""
    schemas = _schemas(shapes)
    for schema in schemas.values():
        fields = schema.get("properties", {})
        stated = schema.get("required", [])
        there = [
            n for n, field in fields.items() if n in stated or field.get("default") is not None
        ]
        if fields:
            schema["required"] = there
        for name, field in fields.items():
            fields[name] = _without_null({k: v for k, v in field.items() if k != "default"})
    return schemas


def request_schemas(shapes: Sequence[type[BaseModel]], *, null: bool = False) -> dict[str, Schema]:
    """Of ``shapes`` and all that they are made of, by name, with what may be sent.

    null: whether it means that a field is not given, as in JSON; a query and a form have none.
    Defaults are told in descriptions alone: generated clients would send them, in the query and in
    the body, and what is given twice is refused.
    """
    schemas = _schemas(shapes)
    for schema in schemas.values():
        fields = schema.get("properties", {})
        for name, field in fields.items():
            sent = {k: v for k, v in field.items() if k != "default"}
            fields[name] = sent if null else _without_null(sent)
    return schemas


def _schemas(shapes: Sequence[type[BaseModel]]) -> dict[str, Schema]:
    template = REFERENCES + "{model}"
    _, content = models_json_schema(
        [(shape, "validation") for shape in shapes], ref_template=template
    )
    schemas: dict[str, Schema] = _tidy(content["$defs"])
    return schemas


def _tidy(value: Any) -> Any:
    """Without titles, which repeat the names; with descriptions in Markdown, as OpenAPI has it."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return value
    tidy = {k: _tidy(v) for k, v in value.items() if k != "title" or isinstance(v, dict)}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = tidy["description"].replace("``", "`")
    return tidy


def _without_null(field: Schema) -> Schema:
    kinds = [kind for kind in field.get("anyOf", ()) if kind != NULL]
    rest = {k: v for k, v in field.items() if k != "anyOf"}
    if not kinds:
        return rest
    return {**kinds[0], **rest} if len(kinds) == 1 else {"anyOf": kinds, **rest}

"""How the OpenAPI description shows a request that brings images: headers, parameters, forms."""

from typing import Any

from service.http.openapi.examples import PIXEL
from service.http.openapi.json_schemas import reference
from service.inference.deadline import Priority
from service.request import PRIORITY_HEADER, REQUEST_ID_HEADER, TIMEOUT_HEADER
from service.settings import Settings

Description = dict[str, Any]

RAW_BODIES = ("image/*", "application/octet-stream")
NUMBERS = r"^[^,]+(,[^,]+){3,4}$"
BINARY: Description = {"type": "string", "format": "binary"}

ABOUT = """\
The three forms of a request:

    curl -F images=@{photo} -F {name}={value} http://localhost:3000{path}

    curl --data-binary @{photo} -H 'Content-Type: image/jpeg' \\
      'http://localhost:3000{path}?{name}={value}'

    curl --json '{{"images": [{{"base64": "…"}}], "{name}": {value}}}' http://localhost:3000{path}

A parameter stands in the query or in the body, not in both; one that is unknown is refused. An
image's answer does not depend on the images beside it. A single bad image makes a problem; among
several, a bad one has an `error` in its place."""

BODY = (
    "At most {max_body_bytes:,} bytes and {max_images} images of {max_image_pixels:,} pixels,"
    " unless the operator says otherwise. JPEG, PNG, WebP, AVIF, BMP, TIFF and GIF are read, of an"
    " animation the first frame; EXIF orientation is applied."
)


def image_request(path: str, name: str, fields: Description, examples: Description) -> Description:
    """Description, parameters and body of a POST to ``path``.

    name: of the shapes of its bodies, ``name``Form and ``name``Request.
    fields: the schemas of the parameters. ``examples``: the name of a photo, and parameters.
    """
    photo = examples["photo"]
    parameters = {name: value for name, value in examples.items() if name != "photo"}
    parameter, value = next(iter(parameters.items()))
    content = f"(the bytes of {photo})"
    raw = {
        "schema": {**BINARY, "description": "One image file."},
        "examples": {"photo": {"summary": "A photo", "value": content}},
    }
    return {
        "description": ABOUT.format(path=path, photo=photo, name=parameter, value=value),
        "parameters": [*(_query(name, field) for name, field in fields.items()), *_headers()],
        "requestBody": {
            "required": True,
            "description": BODY.format_map(_settings()),
            "content": {
                "multipart/form-data": {
                    "schema": reference(f"{name}Form"),
                    "encoding": {"images": {"contentType": "image/*"}},
                    "examples": {
                        "photo": {
                            "summary": "A photo and parameters",
                            "value": {"images": [content], **parameters},
                        }
                    },
                },
                "application/json": {
                    "schema": reference(f"{name}Request"),
                    "examples": {
                        "base64": {
                            "summary": "An image of one pixel, and parameters",
                            "value": {"images": [{"base64": PIXEL}], **parameters},
                        },
                        "url": {
                            "summary": "An image by URL, where the operator allows its host",
                            "value": {"images": [{"url": f"https://images.example.org/{photo}"}]},
                        },
                    },
                },
                **dict.fromkeys(RAW_BODIES, raw),
            },
        },
    }


def _query(name: str, field: Description) -> Description:
    about = field["description"]
    schema = {key: value for key, value in field.items() if key != "description"}
    if schema.get("items", {}).get("type") == "array":  # a query has no lists in lists
        about += " Each is a text with commas between its numbers."
        schema["items"] = {"type": "string", "pattern": NUMBERS}
    repeated = {"style": "form", "explode": True} if field["type"] == "array" else {}
    return {"name": name, "in": "query", "description": about, **repeated, "schema": schema}


def _headers() -> list[Description]:
    """Headers that say how a request is scheduled, and its id."""
    limits = "Default: {request_timeout_ms}; at most {max_request_timeout_ms}"
    return [
        {
            "name": TIMEOUT_HEADER,
            "in": "header",
            "description": "Milliseconds until the deadline, after which no more work is done."
            f" {limits.format_map(_settings())}; unless the operator says otherwise.",
            "schema": {"type": "integer", "minimum": 1},
        },
        {
            "name": PRIORITY_HEADER,
            "in": "header",
            "description": "bulk: for background jobs, which yield to interactive requests."
            f" Default: {Priority.INTERACTIVE.value}.",
            "schema": {"type": "string", "enum": [priority.value for priority in Priority]},
        },
        {
            "name": REQUEST_ID_HEADER,
            "in": "header",
            "description": "The request's id in logs and replies. One that does not match"
            " `[A-Za-z0-9_.:-]{1,128}` is replaced. Default: a new one.",
            "schema": {"type": "string"},
        },
    ]


def _settings() -> Description:
    """The defaults of the settings."""
    return {name: field.default for name, field in Settings.model_fields.items()}

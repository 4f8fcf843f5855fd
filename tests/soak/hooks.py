"""Tells schemathesis what an image is and which names exist."""

import base64
from io import BytesIO
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis.transport.requests import REQUESTS_TRANSPORT, multipart_serializer

from service.parameters import ClassifyParameters, DetectParameters
from service.request import TIMEOUT_HEADER as TIMEOUT
from service.settings import Settings
from tests.packages import CLASSIFIER


def _photo(format_: str, size: tuple[int, int]) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "teal").save(file, format_)
    return file.getvalue()


PHOTOS = [_photo(format_, size) for format_ in ("JPEG", "PNG") for size in ((8, 8), (64, 48))]
CLASSES = 1000  # of the shipped classifier
REGION = [0, 0, 8, 8]  # within every photo
MAX_REGIONS = Settings.model_fields["max_regions"].default
# What parameters need that mean nothing without it, by the route: its name and a value.
NEEDED: dict[str, tuple[set[str], str, Any]] = {
    "/v1/detect": (set(DetectParameters.NEEDS), "then", CLASSIFIER),
    "/v1/classify": (set(ClassifyParameters.NEEDS), "regions", [",".join(map(str, REGION))]),
}
MAX_IMAGES = Settings.model_fields["max_images"].default
IMAGES = st.sampled_from(PHOTOS)

schemathesis.openapi.format("binary", IMAGES)
schemathesis.openapi.format("byte", IMAGES.map(lambda image: base64.b64encode(image).decode()))
for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, IMAGES)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: Any) -> None:
    """Leave out what is right by the description, and yet refused for what it means: deadlines
    that nobody could keep, labels and numbers of classes that no model has, regions that no photo
    has, parameters without another one that they need, more images than are taken, and a parameter
    both in the query and in the body. And what is wrong, and yet answered: a bad image among
    others."""
    if str(case.headers.get(TIMEOUT, "")).isdigit():
        case.headers[TIMEOUT] = "30000"
    _keep_to_what_exists(case.query)
    body = case.body if isinstance(case.body, dict) else {}
    _complete(case.path, case.query, beside=body)
    if body:
        for name in case.query.keys() & case.body.keys():
            del case.query[name]
        if case.media_type == "application/json":
            _keep_to_what_exists(case.body)
            _complete(case.path, case.body, beside=case.query)
            if isinstance(images := case.body.get("images"), list):
                bad = [image for image in images if not _is_image(image)]
                case.body["images"] = bad[:1] or images[:MAX_IMAGES]


@REQUESTS_TRANSPORT.serializer("multipart/form-data")
def with_file_names(context: schemathesis.SerializationContext, body: Any) -> dict[str, Any]:
    """schemathesis sends files without names, which no browser and no library does.

    Names that exist come in here: schemathesis takes a form that a hook has changed for a wrong
    one, whose images are files and not the texts that its own schema says.
    """
    if isinstance(body, dict):
        body = dict(body)
        _keep_to_what_exists(body)
        _complete(context.case.path, body, beside=context.case.query)
    parts = multipart_serializer(context, body)
    parts["files"] = [_named(*part) for part in parts.get("files") or []]
    return parts


def _keep_to_what_exists(parameters: dict[str, Any]) -> None:
    if _are_texts(parameters.get("labels")):
        parameters["labels"] = ["person"]
    if _number(parameters.get("top_k")) > CLASSES:
        parameters["top_k"] = type(parameters["top_k"])(CLASSES)

    if isinstance(regions := parameters.get("regions"), list) and regions:
        if all(map(_is_region, regions)):
            parameters["regions"] = [REGION]
        elif _are_texts(regions) and all(region.count(",") in (3, 4) for region in regions):
            parameters["regions"] = [",".join(map(str, REGION))]
    if isinstance(then := parameters.get("then"), str) and then:
        parameters["then"] = CLASSIFIER
        if _number(parameters.get("max_detections")) > MAX_REGIONS:
            parameters["max_detections"] = type(parameters["max_detections"])(MAX_REGIONS)


def _complete(path: str, parameters: dict[str, Any], beside: dict[str, Any]) -> None:
    """Add what ``parameters`` need, unless it is ``beside`` them."""
    needing, name, value = NEEDED.get(path, (set(), "", None))
    if parameters.keys() & needing and name not in {*parameters, *beside}:
        parameters[name] = value


def _is_region(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (4, 5)
        and all(isinstance(side, int | float) and not isinstance(side, bool) for side in value)
    )


def _number(value: object) -> float:
    """What a query's text or a number of JSON says; nothing else is more than 0."""
    try:
        return float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        return 0.0


def _is_image(value: object) -> bool:
    """Whether JSON has it as the description says."""
    is_form = isinstance(value, dict) and len(value) == 1 and value.keys() <= {"base64", "url"}
    return is_form and all(isinstance(text, str) for text in value.values())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _named(name: str, file: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    is_file = name == "images" and isinstance(file[1], bytes)
    return name, ("photo", *file[1:]) if is_file else file

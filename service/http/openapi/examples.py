"""Examples in the description: answers as the shipped models gave them, and a case of each problem.

Tests hold the answers against those of a running service.
"""

import json
from pathlib import Path
from typing import Any

from service.problems import KINDS, Problem

Example = dict[str, Any]

REQUEST_ID = "6e7ebdfa45d54d779775021c63c4a718"
TIMING_MS = {"decode": 5.312, "queue": 0.05, "inference": 44.006, "total": 49.719}

# What the shipped models are and answer, and the detector's description, its longer lists cut.
RECORDED = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))
DETECTOR, CLASSIFIER = RECORDED["detector"], RECORDED["classifier"]
CAT, COFFEE, MODEL = RECORDED["cat"], RECORDED["coffee"], RECORDED["model"]
CAT_THEN, CAT_REGIONS = RECORDED["cat_then"], RECORDED["cat_regions"]  # of two models; of regions
ROLLOUT = RECORDED["rollout"]
PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # a whole GIF

DETAILS = {
    "empty_body": "The request has no image.",
    "malformed_body": "The multipart body cannot be read: no boundary is stated",
    "unauthenticated": "Send a key: Authorization: Bearer <key>, or X-API-Key: <key>.",
    "forbidden": "The key shop-app does not have the scope admin.",
    "url_not_allowed": "This service fetches no URLs; send the image's bytes.",
    "model_not_found": "There is no model 'pets'; there are efficientdet_lite0_voc/1.",
    "not_found": "There is nothing at /v1/find.",
    "method_not_allowed": "/v1/detect takes POST, not PUT.",
    "model_unloaded": "pets has been unloaded by an operator.",
    "model_unfit": "model_store/pets/3/model.onnx: its sha256 is not the manifest's",
    "request_too_slow": "A body must arrive at 1000 bytes a second or more.",
    "body_too_large": "The body has more than 67108864 bytes.",
    "image_too_large": "The image has 20000 x 10000 = 200000000 pixels; at most 64000000 are"
    " accepted.",
    "too_many_images": "33 images; at most 32 a request.",
    "too_many_regions": "101 regions; at most 100 an image.",
    "url_too_large": "The URL gives more than 20971520 bytes.",
    "unsupported_media_type": "The content type is text/plain; send multipart/form-data with files"
    " in the field 'images', an image/* body, or application/json.",
    "invalid_parameter": "score_threshold = '1.5': Input should be less than or equal to 1.",
    "unknown_parameter": "There is no parameter 'treshold'; there are model, score_threshold,"
    " iou_threshold, class_agnostic, max_detections, labels, then, top_k, region_padding,"
    " region_resize, regions, contours, novelty.",
    "wrong_task": "efficientnet_lite0_imagenet does classification, not detection.",
    "empty_image": "The image is empty: 0 bytes were sent.",
    "invalid_image": "The image is damaged or cut short: image file is truncated (20 bytes not"
    " processed).",
    "region_outside": "The region 500,10,600,90 lies outside the image of 451 x 300 pixels.",
    "url_unreachable": "The URL gives status 404, not 200.",
    "rate_limited": "More than 20 requests a second. Try again in 0.05 s.",
    "head_too_large": "The head of a request has at most 65536 bytes.",
    "internal_error": "The service failed.",
    "overloaded": "256 images are in service; at most 256 are let in. Try again in a moment.",
    "not_ready": "The service is starting or stopping.",
    "deadline_exceeded": "The request had 200 ms, which were over before batching.",
}


def answer(model: Example, *results: Example) -> Example:
    """A whole answer of ``model``."""
    return {
        "model": model,
        "request_id": REQUEST_ID,
        "results": list(results),
        "timing_ms": TIMING_MS,
    }


def problem(code: str) -> Example:
    """The reply to a request that meets the problem called ``code``."""
    return Problem(code, DETAILS[code]).to_body(REQUEST_ID)


def problem_examples() -> dict[str, Example]:
    """One of each code, as the components of an OpenAPI description."""
    return {
        code: {"summary": kind.title, "description": kind.meaning, "value": problem(code)}
        for code, kind in KINDS.items()
    }


DETECT_ANSWERS = {
    "cat": {"summary": "docs/photos/cat.jpg", "value": answer(DETECTOR, CAT)},
    "then": {
        "summary": "docs/photos/cat.jpg, with then=efficientnet_lite0_imagenet and top_k=2",
        "value": {**answer(DETECTOR, CAT_THEN), "then": CLASSIFIER},
    },
    "one_of_two_is_bad": {
        "summary": "A bad image among others has its error in its place",
        "value": answer(
            DETECTOR, CAT, {"error": Problem("empty_image", DETAILS["empty_image"]).to_error()}
        ),
    },
}
CLASSIFY_ANSWERS = {
    "coffee": {"summary": "docs/photos/coffee.jpg", "value": answer(CLASSIFIER, COFFEE)},
    "regions": {
        "summary": "docs/photos/cat.jpg, with two regions and top_k=2",
        "value": answer(CLASSIFIER, CAT_REGIONS),
    },
}

"""Examples in the description: answers as the shipped models gave them, and a case of each problem.

Tests hold the answers against those of a running service.
"""

from typing import Any

from service.problems import KINDS, Problem

Example = dict[str, Any]

REQUEST_ID = "6e7ebdfa45d54d779775021c63c4a718"
TIMING_MS = {"decode": 5.312, "queue": 0.05, "inference": 44.006, "total": 49.719}

DETECTOR = {
    "name": "efficientdet_lite0_voc",
    "version": "1",
    "sha256": "daf03ad07a7bc46b66ae796d92ce43f77346275a3fbae66ee80c66811261af63",
}
CLASSIFIER = {
    "name": "efficientnet_lite0_imagenet",
    "version": "1",
    "sha256": "6accf634c593e4ee5c523bde3eeaf979c52caf2546c4eb6fc30a55f5636df687",
}
CAT = {
    "width": 451,
    "height": 300,
    "detections": [
        {"box": [3.467, 0.0, 409.423, 300.0], "score": 0.879304, "label": "cat", "label_id": 8}
    ],
}
COFFEE = {
    "width": 600,
    "height": 400,
    "classifications": [
        {"label": "espresso", "label_id": 967, "score": 0.954885},
        {"label": "cup", "label_id": 968, "score": 0.013098},
        {"label": "consomme", "label_id": 925, "score": 0.008205},
        {"label": "chocolate sauce", "label_id": 960, "score": 0.003689},
        {"label": "coffee mug", "label_id": 504, "score": 0.002843},
    ],
}
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
    "body_too_large": "The body has more than 67108864 bytes.",
    "image_too_large": "The image has 20000 x 10000 = 200000000 pixels; at most 64000000 are"
    " accepted.",
    "too_many_images": "33 images; at most 32 a request.",
    "url_too_large": "The URL gives more than 20971520 bytes.",
    "unsupported_media_type": "The content type is text/plain; send multipart/form-data with files"
    " in the field 'images', an image/* body, or application/json.",
    "invalid_parameter": "score_threshold = '1.5': Input should be less than or equal to 1.",
    "unknown_parameter": "There is no parameter 'treshold'; there are model, score_threshold,"
    " iou_threshold, class_agnostic, max_detections, labels.",
    "wrong_task": "efficientnet_lite0_imagenet does classification, not detection.",
    "empty_image": "The image is empty: 0 bytes were sent.",
    "invalid_image": "The image is damaged or cut short: image file is truncated (20 bytes not"
    " processed).",
    "url_unreachable": "The URL gives status 404, not 200.",
    "rate_limited": "More than 20 requests a second. Try again in 0.05 s.",
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
    "one_of_two_is_bad": {
        "summary": "A bad image among others has its error in its place",
        "value": answer(
            DETECTOR, CAT, {"error": Problem("empty_image", DETAILS["empty_image"]).to_error()}
        ),
    },
}
CLASSIFY_ANSWERS = {
    "coffee": {"summary": "docs/photos/coffee.jpg", "value": answer(CLASSIFIER, COFFEE)}
}

# Of the shipped detector; its lists of labels and cases are longer.
MODEL: Example = {
    "schema_version": 1,
    **DETECTOR,
    "task": "detection",
    "labels": [{"id": 1, "name": "aeroplane"}, {"id": 2, "name": "bicycle"}],
    "input": {
        "height": 320,
        "width": 320,
        "resize": "letterbox",
        "interpolation": "bilinear",
        "antialias": True,
        "fill": [128, 128, 128],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
    "defaults": {"score_threshold": 0.3, "iou_threshold": 0.5, "max_detections": 100},
    "inputs": [
        {"name": "images", "dtype": "uint8", "shape": ["N", 320, 320, 3]},
        {"name": "score_threshold", "dtype": "float", "shape": []},
        {"name": "iou_threshold", "dtype": "float", "shape": []},
        {"name": "max_detections", "dtype": "int64", "shape": []},
        {"name": "class_agnostic", "dtype": "bool", "shape": []},
    ],
    "outputs": [
        {"name": "num_detections", "dtype": "int64", "shape": ["N"]},
        {"name": "boxes", "dtype": "float", "shape": ["N", "K", 4]},
        {"name": "scores", "dtype": "float", "shape": ["N", "K"]},
        {"name": "labels", "dtype": "int64", "shape": ["N", "K"]},
    ],
    "opset": 20,
    "precision": "fp32",
    "provenance": {
        "architecture": "efficientdet_lite0",
        "weights_file": "best.pth",
        "weights_sha256": "979b2a27c90b9fd65330bc54e1aa8e184f477cf7f3bfabe92e77ebad46260ec9",
        "licence": "Apache-2.0",
        "tools": {"torch": "2.13.0+cpu", "onnxruntime": "1.31.1"},
    },
    "parity": {
        "reference": "PyTorch",
        "images": 7,
        "batch_sizes": [1, 2, 7],
        "cases": [{"name": "photos at batch 1", "images": 7, "detections": 196}],
        "tolerance": {"score": 0.0001, "iou": 0.99, "box_px": 0.01, "matched": 1.0},
        "agreeing": 1.0,
        "max_score_difference": 6.854534149169922e-06,
        "max_box_difference_px": 0.002288818359375,
        "min_iou": 0.9999841196994601,
        "detections_compared": 987,
        "ambiguous": 0,
    },
    "accuracy": {
        "data": "instances_val.json, sha256 aba60b9e3f3b",
        "images": 1002,
        "metrics": {"ap": 0.2972, "ap50": 0.554, "ap75": 0.2796},
        "classes": {"aeroplane": 0.4214, "bicycle": 0.3096},
    },
    "status": {
        "state": "ready",
        "pinned": False,
        "provider": "cpu",
        "precision": "fp32",
        "threads": 1,
        "latency_threads": 2,
        "lone_threads": 2,
        "concurrent_runs": 2,
        "max_batch_size": 2,
        "session_bytes": 97046528,
    },
}

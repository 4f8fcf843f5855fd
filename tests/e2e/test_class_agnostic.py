"""`class_agnostic` in every form of a request, alone and beside requests without it."""

import base64
from concurrent.futures import ThreadPoolExecutor

import httpx
from boxport_client import Client

LOW = {"score_threshold": 0.02, "iou_threshold": 0.3, "max_detections": 1000}


def ask(http: httpx.Client, photo: bytes, **parameters: object) -> list[dict]:
    response = http.post(
        "/v1/detect",
        content=photo,
        headers={"content-type": "image/jpeg"},
        params={**LOW, **parameters},
    )
    assert response.status_code == 200, response.text
    return response.json()["results"][0]["detections"]


def iou(one: list[float], other: list[float]) -> float:
    sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def overlapping(rows: list[dict]) -> bool:
    boxes = [row["box"] for row in rows]
    return any(iou(a, b) > 0.35 for i, a in enumerate(boxes) for b in boxes[:i])


def test_boxes_of_all_labels_compete(http: httpx.Client, cat: bytes) -> None:
    by_label, agnostic = ask(http, cat), ask(http, cat, class_agnostic=True)
    assert overlapping(by_label)
    assert not overlapping(agnostic)
    assert 1 < len(agnostic) < len(by_label)
    assert agnostic[0] == by_label[0]
    assert ask(http, cat, class_agnostic="false") == by_label


def test_every_form_says_it(http: httpx.Client, cat: bytes) -> None:
    expected = ask(http, cat, class_agnostic="true")
    files = {"images": ("cat.jpg", cat)}
    encoded = base64.b64encode(cat).decode()
    for response in (
        http.post("/v1/detect", files=files, data={**LOW, "class_agnostic": "true"}),
        http.post("/v1/detect", files=files, params={**LOW, "class_agnostic": "true"}),
        http.post(
            "/v1/detect", json={"images": [{"base64": encoded}], **LOW, "class_agnostic": True}
        ),
    ):
        assert response.json()["results"][0]["detections"] == expected


def test_client_says_it(http: httpx.Client, cat: bytes) -> None:
    with Client(str(http.base_url)) as client:
        for flag in (None, False, True):
            rows = ask(http, cat, class_agnostic=bool(flag))
            found = client.detect(cat, **LOW, class_agnostic=flag)
            assert [detection.label for detection in found] == [row["label"] for row in rows]


def test_requests_with_and_without_it_at_once(http: httpx.Client, cat: bytes) -> None:
    expected = {flag: ask(http, cat, class_agnostic=flag) for flag in (True, False)}
    flags = [True, False] * 8
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda flag: ask(http, cat, class_agnostic=flag), flags))
    for flag, rows in zip(flags, answers, strict=True):
        assert [row["label"] for row in rows] == [row["label"] for row in expected[flag]]


def test_a_value_that_is_neither_is_refused(http: httpx.Client, cat: bytes) -> None:
    response = http.post(
        "/v1/detect",
        content=cat,
        headers={"content-type": "image/jpeg"},
        params={"class_agnostic": "maybe"},
    )
    assert response.status_code == 422
    assert "class_agnostic" in response.json()["detail"]


def test_description_lists_it(http: httpx.Client) -> None:
    shapes = http.get("/docs.json").json()["components"]["schemas"]
    assert "class_agnostic" in shapes["DetectForm"]["properties"]

"""The page of the API: every operation, light, and Swagger UI for who wants to try requests."""

from service.http.openapi.document import describe_api
from service.http.routes import ROUTES
from tests.clients.playground.bench import Bench
from tests.clients.playground.test_people import faults

API = describe_api(ROUTES)


def test_every_operation_and_shape_is_shown(bench: Bench) -> None:
    page = bench.page
    page.goto(f"{bench.url}/docs")
    page.locator("summary").first.wait_for()
    shown = page.locator("summary code").all_inner_texts()
    assert shown == [*in_order_of_tags(), *API["components"]["schemas"]]
    first, *others, last = page.locator("summary").all()  # an operation and a shape are like others
    first.click()
    last.click()
    assert faults(bench) == []
    for summary in others:
        summary.click()
    text = page.locator("main").inner_text()
    for words in ("score_threshold", "Of two boxes of one label", "deadline_exceeded", "top_left"):
        assert words in text


def in_order_of_tags() -> list[str]:
    return [
        path
        for tag in API["tags"]
        for path, methods in API["paths"].items()
        for operation in methods.values()
        if tag["name"] in operation["tags"]
    ]


def test_requests_can_be_tried_in_swagger_ui(bench: Bench) -> None:
    page = bench.page
    page.goto(f"{bench.url}/docs")
    assert not page.evaluate("'SwaggerUIBundle' in window"), "it comes when it is asked for"
    page.get_by_role("button", name="Try requests").click()
    page.locator(".opblock").first.wait_for()
    assert page.locator(".opblock").count() == len(in_order_of_tags())

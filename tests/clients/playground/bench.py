"""The playground in a browser, as a person handles it."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response

ASK_AFTER = 250  # milliseconds, as in settings.js
REFUSED = "Failed to load resource"  # what the console says of every reply of 400 and more


class Bench:
    """A page, and what it has asked and said.

    expects_refusals: whether replies of 400 and more are part of the test.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.expects_refusals = False
        self.requests: list[Request] = []
        self.console: list[str] = []
        page.on("request", self._note_request)
        page.on("console", self._note)
        page.on("pageerror", self._note_error)

    def leave(self) -> None:
        """Let the page go, for another to use it."""
        self.page.remove_listener("request", self._note_request)
        self.page.remove_listener("console", self._note)
        self.page.remove_listener("pageerror", self._note_error)

    def _note_request(self, request: Request) -> None:
        self.requests.append(request)

    def _note_error(self, error: Error) -> None:
        self.console.append(f"uncaught: {error}")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.console.append(message.text)

    def open(self) -> None:
        self.page.goto(f"{self.url}/playground")

    def wait_for_models(self) -> None:
        self.page.locator("#model:enabled").wait_for()

    def check_peace(self) -> None:
        """Nothing was said on the console, and nothing was asked of another host."""
        said = [text for text in self.console if not self.expects_refusals or REFUSED not in text]
        assert said == []
        here = urlsplit(self.url).netloc
        for request in self.requests:
            parts = urlsplit(request.url)
            assert parts.netloc == here or parts.scheme in ("blob", "data"), request.url

    @property
    def questions(self) -> list[dict[str, list[str]]]:
        """The parameters of each question about a photo, in order."""
        asked = (one for one in self.requests if one.method == "POST" and "/v1/" in one.url)
        return [parse_qs(urlsplit(one.url).query) for one in asked]

    def answered(self, act: Callable[[], object]) -> Response:
        """The reply to the question that ``act`` makes the page ask, once it is shown.

        The page's policy forbids Playwright's own way of waiting for a condition, which is `eval`.
        """
        with self.page.expect_response(
            lambda reply: reply.request.method == "POST" and "/v1/" in reply.url
        ) as caught:
            act()
        self.page.locator("#stage[aria-busy=false]").wait_for()
        return caught.value

    def has_asked_once(self) -> bool:
        """Whether one question was all, also after the page has waited for the hand to be still."""
        self.page.wait_for_timeout(2 * ASK_AFTER)
        return len(self.questions) == 1

    def choose(self, photo: Path) -> Response:
        return self.answered(lambda: self.page.set_input_files("#file", photo))

    def drop(self, *photos: Path) -> None:
        """Drag files from the desk over the photo's place, and let go; the browser's own drag."""
        box = self.page.locator("#stage").bounding_box()
        assert box is not None
        session = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": list(map(str, photos)), "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send(
                "Input.dispatchDragEvent",
                {"type": kind, "x": box["x"] + 40, "y": box["y"] + 40, "data": data},
            )

    def slide(self, name: str, value: float) -> None:
        """Move a slider, as a hand does."""
        self.page.locator(f"#{name}").fill(str(value))

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def answer(self) -> Any:
        """What the page gives as JSON."""
        self.page.click("#tab-json")
        return json.loads(self.text("#snippet-code"))

    def rows(self) -> list[tuple[str, str]]:
        """The label and the score of each row."""
        labels = self.page.locator("#rows .row-label").all_inner_texts()
        return list(
            zip(labels, self.page.locator("#rows .row-score").all_inner_texts(), strict=True)
        )

    def pixels(self, canvas: str) -> np.ndarray:
        """What is on a canvas: uint8 [height, width, RGBA]."""
        url = self.page.evaluate("(id) => document.getElementById(id).toDataURL()", canvas)
        content = base64.b64decode(url.partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))

    def colour(self, row: int) -> np.ndarray:
        """The RGB of a row's swatch, and so of its box."""
        rgb: Any = self.page.evaluate(
            """(row) => {
                const swatch = document.querySelectorAll("#rows .swatch")[row];
                const context = new OffscreenCanvas(1, 1).getContext("2d");
                context.fillStyle = getComputedStyle(swatch).backgroundColor;
                context.fillRect(0, 0, 1, 1);
                return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
            }""",
            row,
        )
        return np.array(rgb)

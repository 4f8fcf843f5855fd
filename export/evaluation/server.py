"""Packages behind a running server, asked through its HTTP API (docs/api.md)."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from export.evaluation.column import QUERY, has_contours, top_k
from export.progress import OnProgress
from service.imaging.files import PhotoError
from service.inference.task import Row
from service.manifest import ModelManifest

CONCURRENCY = 8
TIMEOUT_SECONDS = 60
ATTEMPTS = 8  # while the server is overloaded
LONGEST_WAIT_SECONDS = 10
OVERLOADED = (429, 503)


class ServerError(ConnectionError):
    """A server that does not answer, or not with the package; the message says which and why."""


class ServerColumn:
    """A model of the server at ``http``'s base URL; one photo a request."""

    def __init__(
        self, http: httpx.Client, manifest: ModelManifest, *, outlines: bool = False
    ) -> None:
        """outlines: whether these are asked for."""
        self._http = http
        self.manifest = manifest
        self.title = f"HTTP {manifest.precision}"
        self.source = _reference(manifest)
        self.sha256 = manifest.sha256
        self._parameters: dict[str, str | float] = {"model": self.source}
        if manifest.task == "classification":
            self._path, self._rows_name = "/v1/classify", "classifications"
            self._parameters["top_k"] = top_k(manifest)
        else:
            self._path, self._rows_name = "/v1/detect", "detections"
            self._parameters["score_threshold"] = str(QUERY.score_threshold)
            self._parameters["iou_threshold"] = str(QUERY.iou_threshold)
            self._parameters["max_detections"] = QUERY.max_detections
            if has_contours(manifest) and not outlines:
                self._parameters["contours"] = "false"

    def answer(self, photos: Sequence[Path], on_progress: OnProgress) -> list[list[Row]]:
        """See `Column`; `CONCURRENCY` photos at a time. Raises ServerError or PhotoError."""
        answers: list[list[Row]] = []
        with ThreadPoolExecutor(CONCURRENCY, "request") as threads:
            for rows in threads.map(self._answer_one, photos):
                answers.append(rows)
                on_progress(len(answers), len(photos))
        return answers

    def _answer_one(self, photo: Path) -> list[Row]:
        request = {
            "content": photo.read_bytes(),
            "params": self._parameters,
            "headers": {"Content-Type": "application/octet-stream"},
        }
        response = _send(self._http, "POST", self._path, **request)
        for _ in range(ATTEMPTS - 1):
            if response.status_code not in OVERLOADED:
                break
            time.sleep(_wait(response))
            response = _send(self._http, "POST", self._path, **request)
        if response.is_client_error and response.status_code not in OVERLOADED:
            raise PhotoError(f"{photo}: {self._http.base_url} refuses it: {_detail(response)}")
        rows: list[Row] = _content(response)["results"][0][self._rows_name]
        return rows


@contextmanager
def open_server(
    url: str, manifests: Sequence[ModelManifest], *, outlines: bool = False
) -> Iterator[list[ServerColumn]]:
    """A column for each of the packages that the server at ``url`` serves.

    Raises ServerError if it serves none of them, or another graph under a package's name.
    """
    try:
        http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)
    except httpx.InvalidURL as error:
        raise ServerError(f"{url}: is no address such as http://localhost:3000: {error}") from error
    with http:
        served = _served(http)
        for manifest in manifests:
            name = _reference(manifest)
            if served.get(name, manifest.sha256) != manifest.sha256:
                raise ServerError(
                    f"{http.base_url} serves another graph as {name}: its sha256 is"
                    f" {served[name][:12]}…, the package's {manifest.sha256[:12]}…; restart the"
                    " server on this package"
                )
        columns = [
            ServerColumn(http, m, outlines=outlines) for m in manifests if _reference(m) in served
        ]
        if not columns:
            names = ", ".join(map(_reference, manifests))
            raise ServerError(f"{http.base_url} serves no {names}, but {', '.join(served)}")
        yield columns


def _served(http: httpx.Client) -> dict[str, str]:
    """The sha256 of each model that the server serves, by name/version."""
    content = _content(_send(http, "GET", "/v1/models"))
    try:
        return {f"{row['name']}/{row['version']}": row["sha256"] for row in content["models"]}
    except (KeyError, TypeError):
        raise ServerError(f"{http.base_url} is no Boxport server: it lists no models") from None


def _send(http: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    try:
        return http.request(method, path, **request)
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise ServerError(f"{http.base_url} cannot be reached: {reason}") from error


def _reference(manifest: ModelManifest) -> str:
    return f"{manifest.name}/{manifest.version}"


def _content(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a reply; raises ServerError if there is none."""
    url = response.request.url.copy_with(query=None)
    if not response.is_success:
        raise ServerError(f"{url} answers {response.status_code}: {_detail(response)}")
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ServerError(f"{url} is of no Boxport server: it answers no JSON object")
    return content


def _detail(response: httpx.Response) -> str:
    """A problem's own detail, or how any other reply begins."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return " ".join(response.text[:100].split()) or response.reason_phrase


def _wait(response: httpx.Response) -> float:
    """Seconds until the next attempt."""
    try:
        return min(float(response.headers["Retry-After"]), LONGEST_WAIT_SECONDS)
    except (KeyError, ValueError):
        return 1.0

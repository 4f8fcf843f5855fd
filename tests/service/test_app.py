"""The module that every process of a server loads, and that starts none without looking first."""

import asyncio
import subprocess
import sys

import pytest
from starlette.requests import Request

from service.app import Boxport
from service.http import v1
from service.http.context import SCOPE_KEY
from service.http.routes import find_route
from service.settings import Settings
from tests.service.http.asgi import begin

FOR_WORKERS = {"numpy", "onnxruntime", "PIL", "service.worker", "service.engine.engine"}


def test_the_process_that_starts_workers_loads_nothing_of_theirs() -> None:
    code = "import sys, bentoml_cli.serve, service.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "service.app" in loaded
    assert loaded & FOR_WORKERS == set()


def test_what_can_be_served_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    supervised: list[Settings] = []
    monkeypatch.setattr("service.app.supervise", supervised.append)
    Boxport.inner.verify()
    assert supervised == [Settings()]


def test_what_cannot_be_served_ends_the_start_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOXPORT_MODEL_STORE", "nowhere")
    with pytest.raises(SystemExit) as caught:
        Boxport.inner.verify()
    assert caught.value.code == 1
    said = capfd.readouterr().err
    assert said.startswith("boxport: nowhere: there is no such folder")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["detect", "classify"])
def test_bentomls_apis_are_the_endpoints_of_the_table(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    route, _ = find_route(f"/v1/{name}")
    assert route.endpoint is getattr(v1, name)
    asked = []

    async def endpoint(context: object) -> str:
        asked.append(context)
        return "the reply"

    monkeypatch.setattr(v1, name, endpoint)
    context = begin(f"/v1/{name}")
    request = Request({**context.scope, SCOPE_KEY: context})
    assert asyncio.run(Boxport.apis[name].func(None, request)) == "the reply"
    assert asked == [context]

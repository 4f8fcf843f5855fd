"""The module that every process of a server loads, and that starts none without looking first."""

import subprocess
import sys

import pytest

from service.app import Boxport

FOR_WORKERS = {"numpy", "onnxruntime", "PIL", "service.worker", "service.engine.engine"}


def test_the_process_that_starts_workers_loads_nothing_of_theirs() -> None:
    code = "import sys, bentoml_cli.serve, service.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "service.app" in loaded
    assert loaded & FOR_WORKERS == set()


def test_what_can_be_served_is_let_through() -> None:
    Boxport.inner.verify()


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

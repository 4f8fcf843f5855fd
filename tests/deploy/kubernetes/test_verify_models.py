"""The init container that checks packages, run as the manifest says, on real ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from export.signing import make_keys, sign
from tests.deploy.kubernetes.manifests import (
    CPU,
    KUBERNETES,
    Pods,
    Variant,
    environment,
    of_kind,
    render,
    settings_file,
)
from tests.packages import CLASSIFIER, break_graph, copy_package
from tests.paths import ROOT

MODEL_IMAGE = Variant(CPU.overlay, ("model-image",))


@pytest.fixture
def store(store: Path, tmp_path: Path) -> Path:
    """One with a single package, which may be changed."""
    copy_package(store / CLASSIFIER / "1", tmp_path / "models", CLASSIFIER, 1)
    return tmp_path / "models"


def run(store: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The container's command with its environment, but for where files lie."""
    pods = Pods.of(render(MODEL_IMAGE))
    (container,) = (c for c in pods.spec["initContainers"] if c["name"] == "verify-models")
    interpreter, script = container["command"]
    assert interpreter == "python"
    (mounted,) = (m for m in container["volumeMounts"] if m["name"] == "verify-models")
    file = store.parent / Path(script).relative_to(mounted["mountPath"])
    (content,) = (
        config["data"][file.name]
        for config in of_kind(render(MODEL_IMAGE), "ConfigMap")
        if file.name in config["data"]
    )
    file.write_text(content)
    settings = store.parent / "settings.toml"
    settings.write_text(settings_file(render(MODEL_IMAGE)))
    named = environment(container)
    assert named["BOXPORT_MODEL_STORE"] in [m["mountPath"] for m in container["volumeMounts"]]
    places = {"BOXPORT_MODEL_STORE": str(store), "BOXPORT_SETTINGS_FILE": str(settings)}
    return subprocess.run(
        [sys.executable, file],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | named | places | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_sound_package_passes(store: Path) -> None:
    done = run(store)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"boxport: {CLASSIFIER}/1 matches its manifest\n"


def test_tampered_graph_keeps_the_pod_from_starting(store: Path) -> None:
    break_graph(store / CLASSIFIER / "1")
    done = run(store)
    assert done.returncode == 1
    assert done.stderr == (
        f"boxport: {store / CLASSIFIER / '1' / 'model.onnx'}: its sha256 is not the manifest's\n"
    )


def test_one_unfit_package_among_sound_ones_is_found(store: Path) -> None:
    folder = copy_package(store / CLASSIFIER / "1", store, CLASSIFIER, 2)
    break_graph(folder)
    done = run(store)
    assert done.returncode == 1
    assert str(folder) in done.stderr


def test_signature_is_asked_for_where_the_settings_say_so(store: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "release.key", tmp_path / "release.pub"
    make_keys(private, public)
    done = run(store, BOXPORT_PUBLIC_KEYS=str(public))
    assert done.returncode == 1
    assert "is not signed" in done.stderr
    assert done.stderr.count("\n") == 1
    sign(store / CLASSIFIER / "1", private)
    assert run(store, BOXPORT_PUBLIC_KEYS=str(public)).returncode == 0


def test_empty_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = run(tmp_path / "models")
    assert done.returncode == 1
    assert "holds no package" in done.stderr


def test_service_reads_what_was_checked() -> None:
    """Both mount the same volume, and it is read only once it has been copied."""
    pods = Pods.of(render(MODEL_IMAGE))
    copied, checked = pods.spec["initContainers"]
    assert [copied["name"], checked["name"]] == ["copy-models", "verify-models"]
    assert copied["command"][-1] in [m["mountPath"] for m in copied["volumeMounts"]]
    for container in (checked, pods.service):
        (mount,) = (m for m in container["volumeMounts"] if m["name"] == "models")
        assert mount["mountPath"] == environment(container)["BOXPORT_MODEL_STORE"]
        assert mount["readOnly"] is True
    assert checked["image"] == pods.service["image"]


def test_script_is_the_one_that_stands_there() -> None:
    file = KUBERNETES / "components" / "model-image" / "verify_models.py"
    shipped = [c["data"].get(file.name) for c in of_kind(render(MODEL_IMAGE), "ConfigMap")]
    assert file.read_text() in shipped

"""The image that an engine builds and runs: `make test-container`."""

import json
import os
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.deploy.container.engine import Engine
from tests.deploy.container.serving import label_of
from tests.e2e.server import STOP_SECONDS, eventually
from tests.paths import ROOT
from tests.tools import need

pytestmark = pytest.mark.container

IMAGE = "localhost/boxport"
# The names and versions that are installed, as an SBOM states them.
INSTALLED = """
import json, re
from importlib.metadata import distributions
print(json.dumps({re.sub("[-_.]+", "-", d.name).lower(): d.version for d in distributions()}))
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if os.geteuid() != 0:
        pytest.skip("only root can build the image's base: sudo make test-container")
    for program in ("buildah", "podman", "runc", "debootstrap"):
        need(program)
    folder = tmp_path_factory.mktemp("engine")
    engine = Engine.at(folder)
    yield engine
    engine.podman("system", "reset", "--force")


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    engine.build(IMAGE, "cpu")
    return IMAGE


@pytest.mark.parametrize("user", ["10001:10001", "1000650000:0"], ids=["own", "openshift"])
def test_it_serves_without_rights_on_a_read_only_root(
    user: str, engine: Engine, image: str, photos: Path
) -> None:
    """As its own user, and as the one that OpenShift chooses at random."""
    with engine.serving(image, "serves", "--user", user) as server:
        assert label_of(server, photos / "cat.jpg") == "cat"
        engine.podman("exec", "serves", "python", "-m", "service", "healthcheck")
        who = engine.podman("exec", "serves", "sh", "-c", "id -u; id -g").split()
        assert who == user.split(":")
        with pytest.raises(AssertionError, match="Read-only file system"):
            engine.podman("exec", "serves", "touch", "/app/x")


def test_it_drains_at_sigterm(engine: Engine, image: str, photos: Path) -> None:
    labels: list[str] = []
    noticed = threading.Event()
    with engine.serving(image, "drains", BOXPORT_DRAIN_SECONDS="4") as server:

        def ask() -> None:
            while not noticed.is_set():
                labels.append(label_of(server, photos / "cat.jpg"))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            eventually(lambda: labels, "the first is answered")
            engine.podman("kill", "--signal", "TERM", "drains")
            ready = f"{server.url}/readyz"
            eventually(lambda: httpx.get(ready).status_code == 503, "it is not ready", seconds=3)
            before = len(labels)
            eventually(lambda: len(labels) > before, "it answers still", seconds=3)
        finally:
            noticed.set()
            asking.join()
        assert server.process.wait(STOP_SECONDS) == 0
    assert set(labels) == {"cat"}


def test_it_stays_within_two_gigabytes_under_large_images(
    engine: Engine, image: str, photos: Path
) -> None:
    """The shipped pod's limit and settings; each photo has as many pixels as are admitted, and
    alpha."""
    shipped = tomllib.loads((ROOT / "deploy/kubernetes/base/settings.toml").read_text())
    shipped["drain_seconds"] = 0
    settings = {f"BOXPORT_{name.upper()}": str(value) for name, value in shipped.items()}
    content = BytesIO()
    Image.new("RGBA", (8000, 8000), (10, 200, 30, 128)).save(content, "PNG", compress_level=1)
    limit = ("--memory=2g", "--memory-swap=2g")
    with engine.serving(image, "small", *limit, **settings) as server:

        def status(_: int) -> int:
            headers = {"content-type": "image/png"}
            url = f"{server.url}/v1/detect"
            return httpx.post(
                url, content=content.getvalue(), headers=headers, timeout=120
            ).status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = set(pool.map(status, range(8)))
        assert 200 in statuses
        assert statuses <= {200, 503}
        assert label_of(server, photos / "cat.jpg") == "cat"


def test_bill_of_materials_is_what_is_installed(engine: Engine, image: str) -> None:
    run = ("run", "--rm", "--network=none", *engine.limits(), image)
    installed = json.loads(engine.podman(*run, "python", "-c", INSTALLED))
    bom = json.loads(engine.podman(*run, "cat", "/app/sbom.cdx.json"))
    libraries = [part for part in bom["components"] if part["type"] == "library"]
    stated = {part["name"].lower().replace("_", "-"): part["version"] for part in libraries}
    assert {name.replace(".", "-"): version for name, version in stated.items()} == installed


@pytest.mark.full
def test_cuda_variant_builds_to_its_last_layer(engine: Engine) -> None:
    """Some gigabytes of CUDA; nothing is run, which would take a GPU."""
    engine.build(f"{IMAGE}:cuda", "cuda")
    settings = engine.podman("image", "inspect", "--format", "{{.Config.Env}}", f"{IMAGE}:cuda")
    assert "BOXPORT_EXECUTION_PROVIDERS=cuda" in settings

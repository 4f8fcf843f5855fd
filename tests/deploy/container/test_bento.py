"""`bentoml build`: what the bento contains, and that it can serve."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy.container.dockerfile import Build
from tests.deploy.container.serving import label_of, serving
from tests.e2e.server import BENTOML, Server, free_port
from tests.paths import ROOT

BY_BENTOML = {
    "README.md",
    "apis/openapi.yaml",
    "apis/schema.json",
    "bento.yaml",
    "env/docker/Dockerfile",
    "env/docker/entrypoint.sh",
    "env/python/requirements.in",
    "env/python/requirements.txt",
    "src/bentofile.yaml",
}
LISTS = {
    "src/LICENSE",
    "src/deploy/container/cpu/licences.md",
    "src/deploy/container/cpu/sbom.cdx.json",
}
PACKAGE_FILES = ("model.onnx", "manifest.json", "report.html")


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def loaded(server: Server) -> set[str]:
    """The shared libraries in the memory of the workers."""
    return {part.path for worker in server.workers for part in worker.memory_maps()}


def bentoml_environment(home: Path) -> dict[str, str]:
    """The environment of this process, without paths of the repository."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def bento(home: Path) -> Path:
    """The folder of the bento that `bentoml build` makes of the repository."""
    done = subprocess.run(
        [BENTOML, "build", "--output", "tag"],
        cwd=ROOT,
        env=bentoml_environment(home),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name, version = done.stdout.strip().removeprefix("__tag__:").split(":")
    return home / "bentos" / name / version


def test_it_holds_the_service_and_the_models_and_nothing_else(bento: Path, store: Path) -> None:
    code = {
        f"src/service/{path}"
        for path in files_of(ROOT / "service")
        if "__pycache__" not in path and not Path(path).name.startswith(".")
    }
    models = {
        f"src/model_store/{folder.relative_to(store)}/{file}"
        for folder in store.glob("*/*")
        for file in PACKAGE_FILES
    }
    assert "src/service/playground/client/client.js" in code
    assert len(models) == 9
    assert files_of(bento) == BY_BENTOML | LISTS | code | models


def test_image_holds_the_same(bento: Path, tmp_path: Path) -> None:
    """The Dockerfile copies from the repository; both must ship the same files."""
    image = Build(ROOT / "deploy" / "Dockerfile", ROOT, tmp_path, dry=True, VARIANT="cpu").run()
    flat = {path.removeprefix("deploy/container/cpu/") for path in files_of(bento / "src")}
    assert files_of(image.root / "app") == flat - {"bentofile.yaml"}


def test_it_says_what_it_is(bento: Path) -> None:
    info = yaml.safe_load((bento / "bento.yaml").read_text())
    assert info["name"] == "boxport"
    assert info["labels"]["licence"] == "Apache-2.0"
    assert info["image"]["python_version"] == "3.11"
    assert (bento / "README.md").read_text().startswith("# Boxport\n")


def test_its_packages_keep_their_hashes(bento: Path) -> None:
    lines = (bento / "env" / "python" / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if "==" in line and not line.startswith("#")]
    assert len(pins) > 50
    # BentoML repeats itself at the end, bare
    assert [pin for pin in pins if not pin.endswith("\\")] == ["bentoml==1.4.39"]
    assert "://" not in "\n".join(lines)


@pytest.mark.container
def test_it_answers_a_photo_with_its_own_code(bento: Path, photos: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [BENTOML, "serve", bento, "--host", "127.0.0.1", "--port", str(port)]
    environment, log = bentoml_environment(tmp_path), tmp_path / "server.log"
    with serving(command, port, bento / "src", environment, log) as server:
        assert label_of(server, photos / "cat.jpg") == "cat"
        assert httpx.get(f"{server.url}/playground").status_code == 200
        libraries = loaded(server)
    assert any("libonnxruntime" in path or "onnxruntime_pybind11" in path for path in libraries)
    assert not any("torch" in path for path in libraries)


@pytest.mark.full
def test_it_serves_from_a_clean_folder_and_environment(
    bento: Path, home: Path, photos: Path, tmp_path: Path
) -> None:
    """Exported, unpacked, and started in an environment of its own requirements."""
    packed, folder, port = tmp_path / "boxport.bento", tmp_path / "unpacked", free_port()
    tag = f"boxport:{bento.name}"
    environment = bentoml_environment(home)
    subprocess.run([BENTOML, "export", tag, packed], env=environment, check=True)
    folder.mkdir()
    subprocess.run(["tar", "-xf", packed, "-C", folder], check=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    requirements = folder / "env" / "python" / "requirements.txt"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement", requirements]
    subprocess.run([python, *install], check=True)
    own = bentoml_environment(tmp_path / "home") | {"BENTOML_PORT": str(port)}
    command = [python.with_name("bentoml"), "serve", folder]
    with serving(command, port, folder / "src", own, tmp_path / "server.log") as server:
        assert label_of(server, photos / "cat.jpg") == "cat"
        asked = [python, "-m", "service", "healthcheck"]
        assert subprocess.run(asked, cwd=folder / "src", env=own).returncode == 0
        assert not any(path.startswith(str(ROOT)) for path in loaded(server))

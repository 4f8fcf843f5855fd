"""The Dockerfile as an engine would read it. `test_image` runs its steps."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.healthcheck import ready_url
from service.providers import PROVIDERS
from service.settings import Settings
from tests.deploy.container.dockerfile import Build, Image
from tests.paths import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HADOLINT = Path(sys.executable).parent / "hadolint"
VARIANTS = ("cpu", "cuda")


@pytest.fixture(scope="module", params=VARIANTS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    into = tmp_path_factory.mktemp(request.param)
    return Build(DOCKERFILE, ROOT, into, dry=True, VARIANT=request.param).run()


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([HADOLINT, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_it_is_built_by_engines_without_buildkit() -> None:
    text = DOCKERFILE.read_text()
    assert "# syntax" not in text
    assert "--mount" not in text
    assert "<<" not in text
    assert not re.search(r"^FROM .*\$", text, re.MULTILINE)  # buildah before 1.29 finds no stage


def test_user_has_no_rights(image: Image) -> None:
    """As a number: Kubernetes cannot know whether a name is root's."""
    user, group = image.user.split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_one_folder_is_written_to(image: Image) -> None:
    assert image.volumes == ("/var/lib/boxport",)
    for variable in ("BENTOML_HOME", "TMPDIR", "HOME"):
        assert image.environment[variable] == "/var/lib/boxport"


def test_a_folder_that_cannot_be_written_is_told_in_one_line(image: Image) -> None:
    environment = {**image.environment, "PATH": os.environ["PATH"], "BENTOML_HOME": "/sys/boxport"}
    done = subprocess.run(image.command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("boxport: /sys/boxport cannot be written by user ")
    assert done.stderr.count("\n") == 1


def test_health_is_asked_where_the_service_listens(image: Image) -> None:
    assert image.health == ("python", "-m", "service", "healthcheck")
    assert ready_url(image.environment) == "http://127.0.0.1:3000/readyz"
    assert "EXPOSE 3000\n" in DOCKERFILE.read_text()


def test_container_ends_with_its_worker(image: Image) -> None:
    assert image.environment["BENTOML_CONTAINERIZED"] == "true"


def test_each_variable_of_ours_is_a_setting(image: Image) -> None:
    ours = {name for name in image.environment if name.startswith("BOXPORT_")}
    assert ours <= {f"BOXPORT_{name.upper()}" for name in Settings.model_fields}


def test_settings_have_no_name_that_kubernetes_sets() -> None:
    """A Service called boxport gives pods BOXPORT_PORT, BOXPORT_SERVICE_HOST and others."""
    for name in Settings.model_fields:
        assert name != "port"
        assert not name.startswith(("port_", "service_host", "service_port"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_graphs_run_on_what_the_variant_is_for(variant: str, tmp_path: Path) -> None:
    image = Build(DOCKERFILE, ROOT, tmp_path, dry=True, VARIANT=variant).run()
    assert image.environment["BOXPORT_EXECUTION_PROVIDERS"] == variant
    assert variant in PROVIDERS


def test_cpu_is_what_one_gets_without_asking(tmp_path: Path) -> None:
    image = Build(DOCKERFILE, ROOT, tmp_path, dry=True).run()
    assert image.environment["BOXPORT_EXECUTION_PROVIDERS"] == "cpu"

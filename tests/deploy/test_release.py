"""What a release consists of is built, named and summed; its tag and its notes are checked."""

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from deploy.release import CHANGELOG, ReleaseError, build, check_tag, release_notes
from service.version import __version__
from tests.paths import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.mark.full  # builds by what an index gives
def test_each_part_has_the_number_and_a_checksum(dist: Path) -> None:
    rows = [line.split("  ") for line in (dist / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in rows] == [
        f"boxport-{__version__}-cpu-licences.md",
        f"boxport-{__version__}-cpu.cdx.json",
        f"boxport-{__version__}-cuda-licences.md",
        f"boxport-{__version__}-cuda.cdx.json",
        f"boxport-client-{__version__}.tgz",
        f"boxport_client-{__version__}-py3-none-any.whl",
        f"boxport_client-{__version__}.tar.gz",
    ]
    for digest, name in rows:
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest


@pytest.mark.full  # builds by what an index gives
def test_parts_are_what_their_names_say(dist: Path) -> None:
    for variant in ("cpu", "cuda"):
        bom = json.loads((dist / f"boxport-{__version__}-{variant}.cdx.json").read_text())
        assert bom["metadata"]["component"]["version"] == __version__
    with zipfile.ZipFile(dist / f"boxport_client-{__version__}-py3-none-any.whl") as wheel:
        assert "boxport_client/py.typed" in wheel.namelist()
    with tarfile.open(dist / f"boxport_client-{__version__}.tar.gz") as sdist:
        names = sdist.getnames()
        assert f"boxport_client-{__version__}/src/boxport_client/py.typed" in names
    with tarfile.open(dist / f"boxport-client-{__version__}.tgz") as package:
        assert {"package/dist/index.js", "package/dist/index.d.ts"} <= set(package.getnames())


@pytest.mark.full  # builds by what an index gives
def test_notes_are_the_changelogs_section(dist: Path) -> None:
    notes = (dist / "NOTES.md").read_text()
    assert notes in CHANGELOG.read_text()
    assert "## " not in notes


def test_release_without_a_date_or_of_another_number_is_refused() -> None:
    check_tag(f"v{__version__}")
    with pytest.raises(ReleaseError, match=r"^v9\.9\.9 is not v"):
        check_tag("v9.9.9")
    with pytest.raises(ReleaseError, match="has no section"):
        release_notes("1.0.0", "# Changelog\n\n## 1.0.0\n\nsoon\n")
    assert release_notes("1.0.0", "## 1.0.0 (2027-01-02)\n\nnow\n\n## 0.9\n") == "now\n"


def test_workflow_builds_with_our_target_and_our_dockerfile() -> None:
    """Images are tagged as the manifests of Kubernetes name them."""
    commands = [step.get("run", "") for step in WORKFLOW["jobs"]["dist"]["steps"]]
    assert "make dist PYTHON=python3.11 TAG=${{ github.ref_name }}" in commands
    assert any("dist/boxport* dist/SHA256SUMS" in command for command in commands)
    image = WORKFLOW["jobs"]["image"]
    (build,) = [step["with"] for step in image["steps"] if "build-push" in step.get("uses", "")]
    assert (ROOT / build["file"]).is_file()
    rows = {row["variant"]: row["suffix"] for row in image["strategy"]["matrix"]["include"]}
    assert rows == {"cpu": "", "cuda": "-cuda"}


def test_what_the_api_calls_deprecated_is_in_the_policys_table() -> None:
    schemas = json.loads((ROOT / "clients" / "openapi.json").read_text())["components"]["schemas"]
    deprecated = {
        name
        for schema in schemas.values()
        for name, field in schema.get("properties", {}).items()
        if field.get("deprecated")
    }
    assert deprecated
    policy = (ROOT / "docs" / "CONTRIBUTING.md").read_text().split("## What is deprecated")[1]
    assert all(f".{name}`" in policy for name in deprecated)

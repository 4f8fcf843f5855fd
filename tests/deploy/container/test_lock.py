"""The packages of images are pinned, listed and have permitted licences."""

import json
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pip_requirements_parser import InstallRequirement, RequirementsFile

from deploy.container.lock import (
    FILES,
    HERE,
    VARIANTS,
    Variant,
    is_permitted,
    list_licences,
    lock,
    serve_group,
)

LINUX = {
    "python_version": "3.11",
    "python_full_version": "3.11.16",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
}
X86 = LINUX | {"platform_machine": "x86_64"}
ARM = LINUX | {"platform_machine": "aarch64"}


def pins(variant: str, machine: dict[str, str]) -> dict[str, InstallRequirement]:
    """What is installed on ``machine``, by name."""
    content = RequirementsFile.from_file(str(HERE / variant / "requirements.txt"))
    assert not content.invalid_lines
    return {
        canonicalize_name(pin.name): pin
        for pin in content.requirements
        if pin.marker is None or pin.marker.evaluate(machine)
    }


def version_of(pin: InstallRequirement) -> Version:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_package_of_the_group_is_pinned_as_it_asks(variant: str) -> None:
    found = pins(variant, X86)
    for line in serve_group(VARIANTS[variant]):
        wanted = Requirement(line)
        assert version_of(found[canonicalize_name(wanted.name)]) in wanted.specifier, line


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_pin_has_hashes(variant: str) -> None:
    for name, pin in pins(variant, X86).items():
        assert pin.hash_options, name
        assert all(value.startswith("sha256:") for value in pin.hash_options), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_is_one_runtime_and_no_torch(variant: str) -> None:
    found = pins(variant, X86)
    runtime = Requirement(VARIANTS[variant].runtime).name
    assert {name for name in found if name.startswith("onnxruntime")} == {runtime}
    assert not {"torch", "onnx", "onnxscript"} & found.keys()


def test_what_arm_has_no_build_of_is_left_out_there() -> None:
    assert pins("cpu", X86).keys() - pins("cpu", ARM).keys() == {"cykooz-resizer"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_place_is_named_that_packages_come_from(variant: str) -> None:
    text = (HERE / variant / "requirements.txt").read_text()
    assert "://" not in text
    assert "make lock" in text.splitlines()[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_sbom_has_the_packages_and_the_models(variant: str, store: Path) -> None:
    components = json.loads((HERE / variant / "sbom.cdx.json").read_text())["components"]
    packages = {
        canonicalize_name(component["name"]): component["version"]
        for component in components
        if component["type"] == "library"
    }
    assert packages == {name: str(version_of(pin)) for name, pin in pins(variant, X86).items()}
    models = {
        component["hashes"][0]["content"]
        for component in components
        if component["type"] == "machine-learning-model"
    }
    manifests = [json.loads(path.read_text()) for path in store.glob("*/*/manifest.json")]
    assert models == {manifest["sha256"] for manifest in manifests}


@pytest.mark.full
@pytest.mark.parametrize("variant", VARIANTS)
def test_sbom_is_what_cyclonedx_asks_for(variant: str) -> None:
    """The validator takes 15 seconds; `make lock` runs it too."""
    text = (HERE / variant / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_package_has_its_licence(variant: str) -> None:
    _, _, *rows = (HERE / variant / "licences.md").read_text().splitlines()
    cells = [row.strip("| ").split(" | ") for row in rows]
    versions = {name: str(version_of(pin)) for name, pin in pins(variant, X86).items()}
    assert {canonicalize_name(name): version for name, version, *_ in cells} == versions
    assert all(is_permitted(licence, VARIANTS[variant].allowed) for _, _, licence, _ in cells)


@pytest.mark.parametrize(
    ("licence", "permitted"),
    [
        ("MIT", True),
        ("Apache Software License; MIT License", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-or-later OR BSD-3-Clause", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MIT License; GNU General Public License v3 (GPLv3)", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_copyleft_that_is_strong_is_not_permitted(licence: str, permitted: bool) -> None:
    assert is_permitted(licence) is permitted


def test_licence_that_is_not_permitted_ends_it_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^lock: \S+ \S+: its licence, ") as exit:
        list_licences(Path(sys.executable), tmp_path / "licences.md", {"MIT"})
    assert "\n" not in str(exit.value)


def test_nothing_is_written_unless_all_can_be_made(tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file).write_text("as it was")
    with pytest.raises(SystemExit, match=r"^lock: uv: "):
        lock(Variant("cpu", "onnxruntime", ("--no-such-option",)), tmp_path)
    assert {(tmp_path / file).read_text() for file in FILES} == {"as it was"}

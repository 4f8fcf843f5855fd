"""Pins what images and bentos install: `python -m deploy.container.lock`, or `make lock`.

For each variant, in a folder beside this file:

    requirements.txt  every package, its version and the hashes of its files, for Python 3.11
    sbom.cdx.json     CycloneDX 1.6: the installed packages, and the models
    licences.md       of the same packages; a missing one or one not `ALLOWED` is an error

No file is replaced unless all of them could be made.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import ExpressionError, Licensing

from service.manifest import ModelManifest
from service.package import PackageError, find_packages, verify_package
from service.version import __version__

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = Path(sys.executable).parent
PYTHON_VERSION = "3.11"  # of the base image
FILES = ("requirements.txt", "sbom.cdx.json", "licences.md")

# As packages state them, or as parts of SPDX expressions. All allow an image to be distributed.
# Others are refused, and so is a package that states none.
ALLOWED = frozenset(
    {
        "0BSD",
        "3-Clause BSD License",
        "Apache License 2.0",
        "Apache Software License",
        "Apache-2.0",
        "BSD License",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-3-Clause-Clear",
        "CC0-1.0",
        "MIT",
        "MIT License",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "Mozilla Public License 2.0 (MPL 2.0)",
        "PSF-2.0",
        "Python Software Foundation License",
        "Zlib",
    }
)


@dataclass(frozen=True)
class Variant:
    """A row of `VARIANTS`.

    runtime: the distribution of ONNX Runtime, in place of the plain one.
    platform: uv's options for the platform to resolve for.
    allowed: the licences that it may have.
    """

    name: str
    runtime: str
    platform: tuple[str, ...]
    allowed: frozenset[str] = ALLOWED


_ROWS = (
    Variant("cpu", "onnxruntime", ("--universal",)),
    Variant(
        "cuda",
        "onnxruntime-gpu[cuda,cudnn]",
        ("--python-platform", "x86_64-manylinux_2_28"),  # there is no build for Linux on ARM
        # of CUDA and cuDNN; it allows programs to be distributed with their libraries
        ALLOWED | {"LicenseRef-NVIDIA-Proprietary"},
    ),
)
VARIANTS = {row.name: row for row in _ROWS}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.container.lock",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", nargs="?", choices=VARIANTS, help="default: each")
    asked = parser.parse_args().variant
    for name in [asked] if asked else VARIANTS:
        lock(VARIANTS[name], HERE / name)


def lock(variant: Variant, folder: Path) -> None:
    """Write the `FILES` of ``variant`` into ``folder``; raises SystemExit with one line if one
    cannot be made, and then changes none."""
    with tempfile.TemporaryDirectory() as name:
        aside = Path(name)
        requirements, sbom, licences = (aside / file for file in FILES)
        compile_requirements(variant, requirements)
        python = install(requirements, aside / "environment")
        write_sbom(python, sbom)
        list_licences(python, licences, variant.allowed)
        for file in FILES:
            (folder / file).write_bytes((aside / file).read_bytes())
    print(f"{folder.relative_to(ROOT)}: {', '.join(FILES)}")


def serve_group(variant: Variant) -> list[str]:
    """The requirements of the group `serve`, with the variant's ONNX Runtime."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    group: list[str] = project["dependency-groups"]["serve"]
    return [line.replace("onnxruntime", variant.runtime, 1) for line in group]


def compile_requirements(variant: Variant, output: Path) -> None:
    """Pin the packages of ``variant`` and their dependencies; all have wheels: images compile
    none."""
    (output.parent / "serve.in").write_text("\n".join(serve_group(variant)) + "\n")
    _run(
        *("uv", "pip", "compile", "serve.in", "--quiet", "--no-config", "--no-build"),
        *("--python-version", PYTHON_VERSION, *variant.platform, "--generate-hashes"),
        *("--custom-compile-command", "make lock", "--output-file", output.name),
        folder=output.parent,
    )


def install(requirements: Path, environment: Path) -> Path:
    """Make an environment with ``requirements`` alone; its Python."""
    python = environment / "bin" / "python"
    _run("uv", "venv", "--quiet", "--no-config", "--python", sys.executable, environment)
    _run(
        *("uv", "pip", "install", "--quiet", "--no-config", "--python", python),
        *("--no-deps", "--no-build", "--require-hashes", "--requirement", requirements),
    )
    return python


def write_sbom(python: Path, output: Path) -> None:
    """Write the SBOM of the packages that ``python`` has, and of the models of the store."""
    _run(
        *("cyclonedx-py", "environment", "--spec-version", "1.6", "--output-reproducible"),
        *("--output-file", output, python),
    )
    bom = json.loads(output.read_text())
    bom["metadata"]["component"] = {
        "bom-ref": "boxport",
        "type": "application",
        "name": "boxport",
        "version": __version__,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    for component in bom["components"] + bom["metadata"]["tools"]["components"]:
        component.pop("externalReferences", None)  # home pages; the purl identifies the package
    try:
        manifests = map(verify_package, find_packages(ROOT / "model_store"))
        bom["components"] += map(_model_component, manifests)
    except PackageError as error:
        raise SystemExit(f"lock: {error}") from error
    text = json.dumps(bom, indent=1) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"lock: {output.name} is not valid: {str(error).splitlines()[0]}")
    output.write_text(text)


def _model_component(manifest: ModelManifest) -> dict[str, Any]:
    licence = manifest.provenance.licence
    if licence not in ALLOWED:
        raise SystemExit(f"lock: {manifest.name}/{manifest.version}: its licence is {licence}")
    return {
        "bom-ref": f"model:{manifest.name}/{manifest.version}",
        "type": "machine-learning-model",
        "name": manifest.name,
        "version": manifest.version,
        "hashes": [{"alg": "SHA-256", "content": manifest.sha256}],
        "licenses": [{"license": {"id": licence}}],
    }


def list_licences(python: Path, output: Path, allowed: Set[str] = ALLOWED) -> None:
    """Write a line for each package that ``python`` has; raises SystemExit for a licence that is
    not ``allowed``."""
    _run(
        *("pip-licenses", "--python", python, "--order", "name", "--with-urls"),
        *("--format", "json", "--output-file", output),
    )
    packages = json.loads(output.read_text())
    for package in packages:
        if not is_permitted(package["License"], allowed):
            raise SystemExit(
                f"lock: {package['Name']} {package['Version']}: its licence, {package['License']},"
                f" is not among those that {Path(__file__).name} allows"
            )
    rows = (f"| {p['Name']} | {p['Version']} | {p['License']} | {p['URL']} |" for p in packages)
    output.write_text(
        "\n".join(["| package | version | licence | from |", "|---|---|---|---|", *rows, ""])
    )


def is_permitted(licence: str, allowed: Set[str] = ALLOWED) -> bool:
    """Whether ``licence`` is one of ``allowed``, or an SPDX expression that they satisfy, such as
    "MIT OR GPL-3.0-only". If it is a list separated by semicolons, each one must be."""
    licensing = Licensing()

    def holds(expression: Any) -> bool:
        if isinstance(expression, licensing.AND):
            return all(map(holds, expression.args))
        if isinstance(expression, licensing.OR):
            return any(map(holds, expression.args))
        return str(expression) in allowed

    def is_fulfilled(text: str) -> bool:
        try:
            return text in allowed or holds(licensing.parse(text))
        except ExpressionError:  # a name that is no expression and not among them
            return False

    return all(map(is_fulfilled, licence.split("; ")))


def _run(command: str, *arguments: str | Path, folder: Path = ROOT) -> None:
    try:
        done = subprocess.run(
            [BIN / command, *arguments], cwd=folder, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise SystemExit(f"lock: {command} is missing; `make lock` installs it") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise SystemExit(f"lock: {command}: {said[-1]}")


if __name__ == "__main__":
    main()

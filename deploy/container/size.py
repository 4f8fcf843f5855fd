"""Computes the size of the image: `python -m deploy.container.size`.

No container engine is needed. The packages are installed and the project's files are copied and
compiled as in the Dockerfile, and the bytes of each file are added up. On a disk the layers take a
little more, because files are stored in blocks; a registry holds them compressed.
"""

import argparse
import compileall
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# python:3.11.16-slim-bookworm for linux/amd64, all layers on a disk, from docker-library/repo-info
# of 2026-08-13 (repos/python/local/3.11-slim-bookworm.md)
BASE_IMAGE = 130_010_000
LIMITS = {"cpu": 600_000_000}  # bytes
SHOWN = 12  # packages with a line of their own


@dataclass(frozen=True)
class Part:
    """A part of the image, and its bytes."""

    name: str
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.container.size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", nargs="?", default="cpu", help="cpu (default) or cuda")
    variant = parser.parse_args().variant
    with tempfile.TemporaryDirectory() as folder:
        parts = measure(variant, Path(folder))
    print(table(parts))
    total = sum(part.size for part in parts)
    if total > LIMITS.get(variant, total):
        raise SystemExit(f"size: {total / 1e6:.0f} MB are more than {LIMITS[variant] / 1e6:.0f}")


def measure(variant: str, folder: Path) -> list[Part]:
    """The parts of the image, made in the empty ``folder``: the base, each package, the rest of the
    environment, the models, the service."""
    environment = install(HERE / variant / "requirements.txt", folder / "environment")
    packages = list(package_sizes(environment))
    rest = size_of(environment) - sum(part.size for part in packages)
    models, service = copy_project(folder / "app")
    return [
        Part("base image", BASE_IMAGE),
        *sorted(packages, key=lambda part: part.size, reverse=True),
        Part("the environment itself", rest),
        Part("models", size_of(models)),
        Part("service", size_of(service)),
    ]


def install(requirements: Path, environment: Path) -> Path:
    """Make the Dockerfile's environment. Raises SystemExit with pip's last line."""
    if not requirements.is_file():
        raise SystemExit(f"size: {requirements}: there is no such file")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
            *("--no-cache-dir", "--no-deps", "--only-binary", ":all:"),
            *("--require-hashes", "--requirement", requirements),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"size: pip: {done.stderr.strip().splitlines()[-1]}")
    return environment


def package_sizes(environment: Path) -> Iterator[Part]:
    """Each package with all its files, including bytecode and scripts."""
    (site,) = environment.glob("lib/python*/site-packages")
    for distribution in distributions(path=[str(site)]):
        files = (Path(str(distribution.locate_file(file))) for file in distribution.files or ())
        size = sum(file.lstat().st_size for file in files if file.exists())
        yield Part(f"{distribution.name} {distribution.version}", size)


def copy_project(folder: Path) -> tuple[Path, Path]:
    """Copy the models and the service as the Dockerfile does; their folders."""
    skipped = shutil.ignore_patterns("__pycache__", ".*")
    models = shutil.copytree(ROOT / "model_store", folder / "model_store", ignore=skipped)
    service = shutil.copytree(ROOT / "service", folder / "service", ignore=skipped)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(service, quiet=1, invalidation_mode=mode)
    return models, service


def size_of(folder: Path) -> int:
    """The bytes of all files below; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def table(parts: list[Part]) -> str:
    """In Markdown: the packages beyond the `SHOWN` largest in one line, and the sum."""
    base, *packages, environment, models, service = parts
    shown, others = packages[:SHOWN], packages[SHOWN:]
    rows = [
        base,
        *shown,
        Part(f"{len(others)} smaller packages", sum(part.size for part in others)),
        environment,
        models,
        service,
        Part("**sum**", sum(part.size for part in parts)),
    ]
    lines = [f"| {row.name} | {row.size / 1e6:.1f} |" for row in rows]
    return "\n".join(["| part | MB |", "|---|--:|", *lines])


if __name__ == "__main__":
    main()

"""Builds what a release consists of: `python -m deploy.release`, or `make dist`. In dist/:

    boxport_client-<number>*.whl, .tar.gz        the Python SDK
    boxport-client-<number>.tgz                  the TypeScript client
    boxport-<number>-<variant>.cdx.json          what the image of cpu and of cuda is made of
    boxport-<number>-<variant>-licences.md       and under which licences
    SHA256SUMS                                   of these, for `sha256sum --check`
    NOTES.md                                     the changelog's section

Images are built from deploy/Dockerfile by the workflow that calls this, which has an engine.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from service.version import __version__

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "clients"
CHANGELOG = ROOT / "docs" / "CHANGELOG.md"
VARIANTS = ("cpu", "cuda")


class ReleaseError(Exception):
    """What a release cannot be made of; the message is one line."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tag", help="of the release; refused unless it is v<number>")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="default: dist")
    arguments = parser.parse_args()
    try:
        check_tag(arguments.tag or f"v{__version__}")
        build(arguments.output.resolve())
    except (ReleaseError, OSError) as error:
        raise SystemExit(f"release: {error}") from error


def check_tag(tag: str) -> None:
    """Raises ReleaseError unless ``tag`` is of this number."""
    if tag != f"v{__version__}":
        raise ReleaseError(f"{tag} is not v{__version__}, which service/version.py states")


def release_notes(number: str, changelog: str) -> str:
    """The section of ``number``, without its heading; raises ReleaseError unless it has a date."""
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        heading, _, text = section.partition("\n")
        if re.fullmatch(rf"{re.escape(number)} \(\d{{4}}-\d\d-\d\d\)", heading):
            return text.strip() + "\n"
    raise ReleaseError(f"{CHANGELOG.name} has no section “{number} (<year>-<month>-<day>)”")


def build(output: Path) -> None:
    """Fill the folder ``output``, which is emptied before."""
    notes = release_notes(__version__, CHANGELOG.read_text())
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    uv = Path(sys.executable).with_name("uv")
    _run(CLIENTS / "python", uv, "build", "--quiet", "--no-config", "--out-dir", output)
    pack_typescript(output)
    for variant in VARIANTS:
        for file in ("sbom.cdx.json", "licences.md"):
            name = f"boxport-{__version__}-{variant}-{file}".replace("-sbom.", ".")
            shutil.copy(ROOT / "deploy" / "container" / variant / file, output / name)
    (output / "SHA256SUMS").write_text(checksums(output))
    (output / "NOTES.md").write_text(notes)


def pack_typescript(output: Path) -> None:
    """Compile and pack the TypeScript client in a copy, in which no earlier result lies."""
    source = CLIENTS / "typescript"
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "typescript"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
        (copy / "node_modules").symlink_to((source / "node_modules").resolve())
        _run(copy, "npm", "run", "--silent", "build")
        _run(copy, "npm", "pack", "--silent", "--pack-destination", output)


def checksums(folder: Path) -> str:
    """A line for each file of a release in ``folder``, as `sha256sum` writes it."""
    files = sorted(folder.glob("boxport*"))
    return "".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files)


def _run(folder: Path, command: str | Path, *arguments: str | Path) -> None:
    try:
        done = subprocess.run([command, *arguments], cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise ReleaseError(f"{command} is missing; `make dist` says what it needs") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise ReleaseError(f"{Path(command).name} {arguments[0]}: {said[-1]}")


if __name__ == "__main__":
    main()

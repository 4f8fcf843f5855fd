"""Clients that generators make of our descriptions, by the lines of docs/clients.md, detect."""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, block_with
from tests.e2e.server import Server
from tests.paths import ROOT
from tests.thirdparty.tools import node_modules, unpack, venv

PAGE = DOCS / "clients.md"
pytestmark = pytest.mark.full


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the page's lines are run: with its photo and its descriptions."""
    for name in ("docs", "clients"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def call(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def generate(programs: Path, program: str, folder: Path) -> None:
    """Run the line of the page that begins with ``program``."""
    words = shlex.split(block_with(PAGE, "sh", f"{program} "))
    call(programs / program, *words[1:], cwd=folder)


def program_of(language: str, words: str, server: Server) -> str:
    return block_with(PAGE, language, words).replace("http://localhost:3000", server.url)


def assert_the_cat(printed: str) -> None:
    """One line: a label, a score and a box."""
    label, score, *box = printed.replace("[", "").replace("]", "").split()
    assert label == "cat"
    assert float(score) == pytest.approx(0.964, abs=0.02)
    assert [float(side) for side in box] == pytest.approx([6.3, 5.8, 408.2, 289.5], abs=3)


def test_openapi_python_client(server: Server, folder: Path) -> None:
    programs = venv("openapi_python_client")
    generate(programs, "openapi-python-client", folder)
    program = program_of("python", "boxport_api", server)
    assert_the_cat(call(programs / "python", "-c", program, cwd=folder))


def test_openapi_typescript(server: Server, folder: Path) -> None:
    """Checked by the compiler, strictly, before it runs."""
    modules = node_modules()
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}')
    words = shlex.split(block_with(PAGE, "sh", "openapi-typescript "))
    call(modules / ".bin" / words[1], *words[2:], cwd=folder)
    (folder / "cat.ts").write_text(program_of("ts", "openapi-fetch", server))
    options = {"strict": True, "exactOptionalPropertyTypes": True, "target": "es2022"}
    modern = {"module": "nodenext", "types": ["node"], "skipLibCheck": True}
    settings = {"compilerOptions": {**options, **modern}, "files": ["cat.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    call(modules / ".bin" / "tsc", cwd=folder)
    assert_the_cat(call("node", "cat.js", cwd=folder))


def test_openapi_generator_for_go(server: Server, folder: Path) -> None:
    generate(venv("openapi_generator"), "openapi-generator-cli", folder)
    root = unpack("golang-1.19-go", "golang-1.19-src") / "usr" / "lib" / "go-1.19"
    places = {"GOROOT": root, "GOPATH": folder / "go", "GOCACHE": folder / "cache"}
    environment = {**{name: str(place) for name, place in places.items()}, "CGO_ENABLED": "0"}
    (folder / "boxport" / "go.mod").unlink()  # it asks for a newer Go than it needs
    (folder / "main.go").write_text(program_of("go", "package main", server))
    call(root / "bin" / "go", "mod", "init", "example.org/cats", cwd=folder, env=environment)
    assert_the_cat(call(root / "bin" / "go", "run", ".", cwd=folder, env=environment))


def test_openapi_generator_for_typescript_compiles(folder: Path) -> None:
    """Where the names of bodies and of calls met."""
    words = shlex.split(block_with(PAGE, "sh", "openapi-generator-cli "))[1:]
    words = [word.replace("go", "typescript-fetch") if word == "go" else word for word in words]
    call(venv("openapi_generator") / "openapi-generator-cli", *words[:-1], cwd=folder)
    options = {"strict": True, "target": "es2022", "noEmit": True, "lib": ["es2022", "dom"]}
    (folder / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": options, "include": ["boxport/**/*.ts"]})
    )
    call(node_modules() / ".bin" / "tsc", cwd=folder)

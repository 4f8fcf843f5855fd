"""The TypeScript client as a user gets it: packed, installed alone, compiled against, and run."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.contract.replay import CASES, PHOTOS
from tests.paths import ROOT

PACKAGE = ROOT / "clients" / "typescript"
PLAYGROUND = ROOT / "service" / "playground" / "client"
TOOLS = PACKAGE / "node_modules" / ".bin"
HERE = Path(__file__).parent
SECONDS = 300  # on a machine that is busy with other work


def run(*command: object, folder: Path = PACKAGE, **environment: str) -> str:
    """What a command prints; fails with the end of it if the command does."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has nothing but the packed client and the tests."""
    project = tmp_path_factory.mktemp("project")
    shutil.rmtree(PACKAGE / "dist", ignore_errors=True)
    run("npm", "run", "build")
    run("npm", "pack", "--pack-destination", project)
    (packed,) = project.glob("*.tgz")
    run("tar", "--extract", "--file", packed, folder=project)
    (project / "node_modules").mkdir()
    (project / "package").rename(project / "node_modules" / "boxport-client")
    for test in (*HERE.glob("*.mjs"), HERE / "typed.ts"):
        shutil.copy(test, project)
    (project / "package.json").write_text('{"type": "module"}')
    return project


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """Of a running service: that of BOXPORT_TEST_URL, or the tests' own."""
    given = os.environ.get("BOXPORT_TEST_URL")
    return given or request.getfixturevalue("exact_server").url


@pytest.fixture
def replay() -> Iterator[str]:
    """URL of the server of golden replies."""
    script = ROOT / "tests" / "clients" / "contract" / "replay.py"
    with subprocess.Popen(["python3", str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def node_tests(installed: Path, name: str, **environment: str) -> None:
    """Run a file of tests; there must be some, and none left out."""
    printed = run(
        "node", "--test", "--test-reporter=tap", name, folder=installed, **environment
    ).splitlines()
    assert "# fail 0" in printed
    assert "# skipped 0" in printed
    assert "# tests 0" not in printed


def test_types_are_those_of_the_description(tmp_path: Path) -> None:
    made = tmp_path / "schema.d.ts"
    run(TOOLS / "openapi-typescript", ROOT / "clients" / "openapi.json", "--output", made)
    current = (PACKAGE / "src" / "schema.d.ts").read_text()
    assert made.read_text() == current, "run `npm run generate` in clients/typescript"


def test_the_playground_has_this_client(installed: Path) -> None:
    package = installed / "node_modules" / "boxport-client"
    built = {file.name: file.read_text() for file in package.glob("dist/*.js")}
    there = {file.name: file.read_text() for file in PLAYGROUND.iterdir()}
    assert there == built, "run `npm run playground` in clients/typescript"


def test_a_users_code_is_checked(installed: Path) -> None:
    options = {
        "noEmit": "true",
        "strict": "true",
        "exactOptionalPropertyTypes": "true",
        "target": "es2022",
        "module": "nodenext",
        "typeRoots": str(PACKAGE / "node_modules" / "@types"),
        "types": "node",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    run(TOOLS / "tsc", *flags, "typed.ts", folder=installed)


def test_against_the_service(installed: Path, url: str) -> None:
    node_tests(installed, "client.test.mjs", BOXPORT_TEST_URL=url, BOXPORT_PHOTOS=str(PHOTOS))


def test_the_readme(installed: Path, url: str) -> None:
    (code,) = re.findall(r"^```ts\n(.*?)^```", (PACKAGE / "README.md").read_text(), re.M | re.S)
    (installed / "readme.mjs").write_text(code.replace("http://localhost:3000", url))
    shutil.copy(PHOTOS / "cat.jpg", installed)
    assert run("node", "readme.mjs", folder=installed).startswith("cat 0.96")


def test_when_the_first_try_fails(installed: Path) -> None:
    node_tests(installed, "retries.test.mjs")


def test_the_contract(installed: Path, replay: str) -> None:
    environment = {"BOXPORT_CONTRACT": str(CASES), "BOXPORT_PHOTOS": str(PHOTOS)}
    node_tests(installed, "contract.test.mjs", BOXPORT_REPLAY_URL=replay, **environment)


def test_it_needs_nothing_else(installed: Path) -> None:
    package = installed / "node_modules" / "boxport-client"
    assert '"dependencies"' not in (package / "package.json").read_text()
    assert {path.suffix for path in package.rglob("*.*")} <= {".js", ".ts", ".json", ".md"}


def test_the_lock_names_no_host() -> None:
    assert '"resolved"' not in (PACKAGE / "package-lock.json").read_text()

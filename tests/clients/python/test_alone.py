"""The SDK's tests pass where only its wheel, numpy and pytest are installed."""

import email
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.paths import ROOT

HERE = Path(__file__).parent
# They start services or check types, which needs what the repository's own environment has.
NEED_MORE = ("test_alone.py", "test_killed_server.py", "test_user_code.py")


def other_pythons() -> list[str]:
    """Those of other versions that run: on PATH, or in the folders that BOXPORT_TEST_PYTHONS
    names."""
    path = os.pathsep.join([os.environ.get("BOXPORT_TEST_PYTHONS", ""), os.environ["PATH"]])
    names = [f"python3.{minor}" for minor in range(10, 15) if minor != sys.version_info.minor]
    found = filter(None, (shutil.which(name, path=path) for name in names))
    return [
        python
        for python in found
        if subprocess.run([python, "-c", "import venv"], capture_output=True).returncode == 0
    ]


PYTHONS = [
    pytest.param(sys.executable, id="this"),
    *(
        pytest.param(python, id=Path(python).name, marks=pytest.mark.full)
        for python in other_pythons()
    ),
]


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
        *("--wheel-dir", folder, ROOT / "clients" / "python"),
        GITHUB_SERVER_URL="https://git.example.org",
        GITHUB_REPOSITORY="vision/boxport",
    )
    (wheel,) = folder.glob("boxport_client-*.whl")
    return wheel


@pytest.fixture(scope="module", params=PYTHONS)
def python(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """That of an environment which has just the wheel, numpy and pytest."""
    folder = tmp_path_factory.mktemp("alone")
    run(request.param, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-compile", wheel, "numpy", "pytest")
    where = run(python, "-I", "-c", "import boxport_client; print(boxport_client.__file__)")
    assert where.startswith(str(folder))
    return python


def test_the_wheel_says_whose_it_is_and_where_it_is_from(wheel: Path) -> None:
    """Its URLs are of the repository that a workflow builds it in."""
    with ZipFile(wheel) as content:
        (name,) = [name for name in content.namelist() if name.endswith("/METADATA")]
        told = email.message_from_bytes(content.read(name))
    assert told["Author"] == "The Boxport authors"
    urls = dict(url.split(", ") for url in told.get_all("Project-URL"))
    assert urls["Homepage"] == "https://git.example.org/vision/boxport"
    assert {"Documentation", "Changelog", "Issues"} <= urls.keys()
    assert "object detection" in told["Keywords"].split(",")
    assert "Programming Language :: Python :: 3.10" in told.get_all("Classifier")


@pytest.mark.parametrize(
    ("files", "least"),
    [
        pytest.param(["test_client.py", "test_parity.py", "test_photos.py"], 100, id="quick"),
        pytest.param(["."], 400, id="all", marks=pytest.mark.full),
    ],
)
def test_the_sdk_alone(python: Path, url: str, files: list[str], least: int) -> None:
    said = run(
        *(python, "-m", "pytest", "-q", "-c", "/dev/null", "--confcutdir", HERE),
        *("-p", "no:cacheprovider", "-W", "error", "-m", "not full"),
        *(f"--ignore={HERE / name}" for name in NEED_MORE),
        *(HERE / name for name in files),
        BOXPORT_TEST_URL=url,
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert int(said.split(" passed")[0].split()[-1]) >= least


@pytest.mark.parametrize(
    ("asked", "extra"),
    [("Client(http2=True)", "http2"), ("Client().detect_many([], progress=True)", "progress")],
)
def test_what_an_extra_is_for_says_so(python: Path, asked: str, extra: str) -> None:
    code = f"""
from boxport_client import Client, MissingExtra
try:
    {asked}
except MissingExtra as error:
    print(error)
"""
    assert f"pip install 'boxport-client[{extra}]'" in run(python, "-c", code)

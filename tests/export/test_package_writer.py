"""A package is written whole or not at all, whatever happens."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from export.commands.terminal import one_line_errors
from export.package_writer import OutputError, written_aside
from service.package import PackageError, find_packages
from tests.paths import ROOT

# Writes files of 1, 2, 4, 8 and 16 MB, saying so, with a pause after each.
WRITER = """
import sys, time
from pathlib import Path
from export.package_writer import OutputError, written_aside
try:
    with written_aside(Path(sys.argv[1])) as folder:
        for part in range(5):
            (folder / str(part)).write_bytes(bytes(2**part * 1_000_000))
            print(part, flush=True)
            time.sleep(float(sys.argv[2]))
except OutputError as error:
    sys.exit(str(error))
"""
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_package_appears_at_once_and_alone(tmp_path: Path) -> None:
    output = tmp_path / "store" / "pets" / "1"
    with written_aside(output) as folder:
        assert (folder.parent.name, folder.name) == ("pets", "1")
        assert folder.stat().st_dev == tmp_path.stat().st_dev
        (folder / "model.onnx").write_text("graph")
        assert not output.exists()
    assert names(tmp_path / "store") == ["pets", "pets/1", "pets/1/model.onnx"]


def test_failure_leaves_nothing_of_what_was_made(tmp_path: Path) -> None:
    output = tmp_path / "a" / "store" / "pets" / "1"

    def fail() -> None:
        with written_aside(output) as folder:
            (folder / "model.onnx").write_text("graph")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == []


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    other = tmp_path / "store" / "pets" / "1" / "model.onnx"
    other.parent.mkdir(parents=True)
    other.write_text("old")
    with pytest.raises(ZeroDivisionError), written_aside(tmp_path / "store" / "pets" / "2"):
        raise ZeroDivisionError
    assert names(tmp_path) == ["store", "store/pets", "store/pets/1", "store/pets/1/model.onnx"]


@pytest.mark.parametrize("name", ["pets/v1", "Pets/1", "pets/0", "../1"])
def test_output_must_name_a_package(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="the last two parts name the package"):
        written_aside(tmp_path / name).__enter__()
    assert names(tmp_path) == []


def test_existing_package_is_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "pets" / "1"
    output.mkdir(parents=True)
    with pytest.raises(OutputError, match="exists; a changed model needs a new version"):
        written_aside(output).__enter__()


def test_package_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "pets" / "1"

    def race() -> None:
        with written_aside(output):
            output.mkdir(parents=True)
            (output / "model.onnx").write_text("theirs")

    with pytest.raises(OutputError, match="exists by now"):
        race()
    assert names(tmp_path) == ["pets", "pets/1", "pets/1/model.onnx"]


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that this process may not write to, even if root runs it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)
        yield folder
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o755)


def test_unwritable_folder_is_named(locked_folder: Path) -> None:
    output = locked_folder / "store" / "pets" / "1"
    with pytest.raises(OutputError, match=r"store: Permission denied\); choose another output"):
        written_aside(output).__enter__()


def test_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(OutputError, match=r"store: (File exists|Not a directory)"):
        written_aside(tmp_path / "store" / "pets" / "1").__enter__()
    assert names(tmp_path) == ["store"]


def test_fault_of_something_else_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    def read() -> None:
        with written_aside(tmp_path / "pets" / "1"):
            (tmp_path / "missing").read_bytes()

    with pytest.raises(FileNotFoundError, match="missing"):
        read()
    assert names(tmp_path) == []


def assert_says_full(result: subprocess.CompletedProcess, output: Path) -> None:
    assert result.returncode == 1
    assert result.stdout.split() == ["0", "1"]  # of five files
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"{output}: there is no room for it (")
    assert line.endswith("nothing was written; free some, or choose another output")


def test_limit_on_files_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "store" / "pets" / "1"
    result = write([sys.executable, "-c", LIMIT + WRITER, output, "0"])
    assert_says_full(result, output)
    assert os.strerror(errno.EFBIG) in result.stderr
    assert names(tmp_path) == []


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A real file system of 4 MB, in a mount namespace of the child's own."""
    disk, seen = tmp_path / "disk", tmp_path / "seen"
    disk.mkdir()
    script = (
        f'mount -t tmpfs -o size=4m none {disk} && "$@"; code=$?; ls -A {disk} > {seen}; exit $code'
    )
    wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    try:
        subprocess.run([*wrapper, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a file system of their own")
    output = disk / "store" / "pets" / "1"
    result = write([*wrapper, sys.executable, "-c", WRITER, output, "0"])
    assert_says_full(result, output)
    assert os.strerror(errno.ENOSPC) in result.stderr
    assert seen.read_text() == ""


def write(command: list[object]) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def start(output: Path) -> subprocess.Popen:
    """A writer that has begun, and takes its time."""
    command = [sys.executable, "-c", WRITER, output, "30"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "0\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruption_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture, number: signal.Signals
) -> None:
    before = signal.getsignal(number)

    def interrupted() -> None:
        with one_line_errors(), written_aside(tmp_path / "store" / "pets" / "1") as folder:
            (folder / "model.onnx").write_text("graph")
            signal.raise_signal(number)

    with pytest.raises(typer.Exit) as ended:
        interrupted()
    assert ended.value.exit_code == 128 + number
    assert capsys.readouterr().err.startswith("error: interrupted; nothing unfinished is left")
    assert signal.getsignal(number) is before
    assert names(tmp_path) == []


def test_what_a_killed_export_left_goes_with_the_next_but_not_what_is_being_written(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    killed, busy = start(store / "pets" / "1"), start(store / "pets" / "2")
    killed.kill()
    killed.communicate()
    assert len(list(store.glob(".unfinished-*"))) == 2
    with written_aside(store / "pets" / "3"):
        (left,) = (p for p in store.glob(".unfinished-*/pets/*") if p.name != "3")
        assert left.name == "2"
    assert (left / "0").exists()
    busy.send_signal(signal.SIGINT)
    busy.communicate(timeout=20)
    assert names(store) == ["pets", "pets/3"]


def test_the_service_does_not_see_what_is_unfinished(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with written_aside(store / "pets" / "1") as folder:
        (folder / "manifest.json").write_text("{}")
        with pytest.raises(PackageError, match="holds no package"):
            find_packages(store)

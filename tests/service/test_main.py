"""`python -m service`, as an operator runs it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.__main__ import main
from service.access.key_file import read_entries
from service.access.keys import KeyRing
from service.http.openapi.document import describe_api
from service.http.routes import ROUTES
from tests.paths import ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command in an empty folder, with nothing set but ``variables``."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BOXPORT_")}
        return subprocess.run(
            [sys.executable, "-m", "service", *arguments],
            cwd=tmp_path,
            env=clean | {"PYTHONPATH": str(ROOT)} | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_settings_say_where_they_come_from(run: Run, tmp_path: Path) -> None:
    (tmp_path / "boxport.toml").write_text("max_images = 7\nmax_body_bytes = 1000\n")
    done = run(
        "settings", "--json", BOXPORT_SETTINGS_FILE="boxport.toml", BOXPORT_MAX_BODY_BYTES="2000"
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    shown = [
        (rows[name]["value"], rows[name]["source"])
        for name in ("max_body_bytes", "max_images", "model_store")
    ]
    store = str(ROOT / "model_store")  # whatever folder one is in
    assert shown == [(2000, "environment"), (7, "file"), (store, "default")]
    assert all(set(row) == {"name", "value", "source", "description"} for row in rows.values())


def test_settings_are_a_table_as_wide_as_the_terminal(run: Run) -> None:
    done = run("settings", COLUMNS="100", BOXPORT_MAX_IMAGES="9", BOXPORT_MODEL_STORE="store")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[:3] for line in lines if line.startswith("max_images ")] == [
        ["max_images", "9", "environment"]
    ]
    assert "Folder of <name>/<version>/." in done.stdout


def test_wrong_settings_are_named_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "boxport.toml").write_text("max_image = 3")
    done = run("settings", BOXPORT_SETTINGS_FILE="boxport.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "boxport: boxport.toml: max_image is no setting; did you mean max_images?\n"
    )


def test_misspelt_variable_is_pointed_out(run: Run) -> None:
    done = run(
        "settings", BOXPORT_MAX_IMAGE="9", BOXPORT_PORT="tcp://10.0.0.1:80", SET_MAX_IMAGES="1"
    )
    assert done.returncode == 0
    assert done.stderr == (
        "boxport: BOXPORT_MAX_IMAGE is set, but is no setting; did you mean BOXPORT_MAX_IMAGES?\n"
    )


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_passwords_are_not_shown(run: Run, form: list[str]) -> None:
    options = {
        "a": f"https://me:{'secret' * 20}@cache:80/x",
        "b": '//a"secret@cache',
        "c": "http://b/@c",
    }
    done = run("settings", *form, BOXPORT_PROVIDER_OPTIONS=json.dumps(options))
    for shown in ('"https://***@cache:80/x"', '"//***@cache"', '"http://b/@c"'):
        assert shown in done.stdout
    assert "secret" not in done.stdout


def test_paths_stay_whole(run: Run) -> None:
    path = f"/models/{'x-y' * 40}/z"
    assert path in run("settings", BOXPORT_MODEL_STORE=path).stdout


def test_key_is_printed_once_and_works(run: Run, tmp_path: Path) -> None:
    done = run("key", "shop", "--scope", "infer", "--rate", "5", "--expires", "2999-12-31")
    assert done.returncode == 0
    text = done.stdout.strip()
    assert re.fullmatch(r"bxp_shop_[\w-]{43}", text)
    assert text not in done.stderr
    caller = KeyRing(tmp_path / "keys.json").find(f"Bearer {text}")
    assert caller
    assert (caller.name, caller.scopes) == ("shop", {"infer"})
    assert caller.rate
    assert (caller.rate.per_second, caller.rate.burst) == (5.0, 5)
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_key_goes_into_the_file_of_the_service(run: Run, tmp_path: Path) -> None:
    run("key", "a", "--scope", "infer", BOXPORT_KEYS_FILE="service.json")
    assert [path.name for path in tmp_path.iterdir()] == ["service.json"]
    run("key", "a", "--scope", "infer", "--file", "other.json", BOXPORT_KEYS_FILE="service.json")
    assert (tmp_path / "other.json").exists()


def test_keys_are_added_and_revoked(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("key", name, "--scope", "admin", "--scope", "infer", "--file", "k.json")
    assert run("key", "--revoke", "a", "--file", "k.json").returncode == 0
    (left,) = read_entries(tmp_path / "k.json")[0]
    assert (left.name, left.scopes) == ("b", ("admin", "infer"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["key", "a"], "boxport: say what a may do: --scope infer or admin"),
        (["key", "a b", "--scope", "infer"], "boxport: name: String should match"),
        (["key", "a", "--scope", "infer", "--burst", "2"], "burst is given without rate"),
        (["key", "a", "--scope", "infer", "--rate", "nan"], "boxport: rate: "),
        (["key", "--revoke", "a"], "boxport: keys.json: cannot be read: No such file"),
        (["key", "--revoke", "a", "--rate", "2"], "boxport: --revoke takes no other option"),
        (["key", "--revoke", ""], "boxport: keys.json: cannot be read: No such file"),
    ],
)
def test_wrong_key_command_is_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["service", *arguments])
    with pytest.raises(SystemExit, match=message) as exit:
        main()
    assert "\n" not in str(exit.value)
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_description_is_printed_as_the_service_serves_it(run: Run) -> None:
    done = run("openapi")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == describe_api(ROUTES)


def test_help_shows_each_command_used(run: Run) -> None:
    for command in ("settings", "key", "archive", "openapi", "healthcheck"):
        assert f"\n  python -m service {command}" in run(command, "--help").stdout


def test_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m service settings | true",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""


def test_healthcheck(run: Run, ready_port: int) -> None:
    server = f"http://127.0.0.1:{ready_port}"
    proxy = {"http_proxy": "http://127.0.0.1:9"}  # it must not be asked
    assert run("healthcheck", "--url", f"{server}/readyz", **proxy).returncode == 0
    sick = run("healthcheck", "--url", f"{server}/other")
    assert (sick.returncode, sick.stderr) == (1, f"boxport: {server}/other answers 503\n")
    gone = run("healthcheck", "--url", "http://127.0.0.1:9/readyz")
    assert gone.returncode == 1
    assert gone.stderr.endswith("Connection refused\n")


def test_command_is_light() -> None:
    """A container's health is asked every few seconds."""
    done = subprocess.run(
        [sys.executable, "-c", "import service.__main__, sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"bentoml", "onnxruntime", "numpy", "PIL", "starlette", "pydantic_settings", "torch"}
    assert not heavy & set(done.stdout.split())

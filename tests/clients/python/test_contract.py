"""The client sends what the contract says, and makes of the replies what it says: both kinds of it,
through every case of clients/contract."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from boxport_client import ApiError, ModelInfo

from tests.paths import ROOT

CASES = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "clients" / "contract").glob("*.json"))
}
ANSWERED = [name for name, case in CASES.items() if "result" in case["expect"]]
UNTYPED = [name for name, case in CASES.items() if case["call"].get("untyped")]
REFUSED = [name for name in CASES if name not in (*ANSWERED, *UNTYPED)]


@pytest.fixture(scope="module")
def replay() -> Iterator[str]:
    """Where the golden replies are."""
    script = ROOT / "tests" / "clients" / "contract" / "replay.py"
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        yield run.stdout.readline().strip()
        run.terminate()


@pytest.fixture
def call(make_client, replay: str, photos: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that makes the call of a case."""
    monkeypatch.delenv("BOXPORT_API_KEY", raising=False)

    def call(name: str) -> Any:
        asked = CASES[name]["call"]
        client = make_client(f"{replay}/{name}", api_key=asked.get("api_key"), retries=0)
        method = getattr(client, asked["method"])
        if "photo" not in asked:
            return method()
        photo = asked["photo"]
        if not photo.startswith("https:"):
            photo = photos / photo
        return method(photo, **asked.get("parameters", {}))

    return call


@pytest.mark.parametrize("name", ANSWERED)
def test_answer_is_read(name: str, call) -> None:
    result, expected = call(name), CASES[name]["expect"]["result"]
    if not isinstance(expected, list):
        assert result.to_dict() == expected
        return
    assert len(result) == len(expected)
    for number, row in enumerate(expected):
        assert row.items() <= summary(result[number]).items()


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_is_raised(name: str, call) -> None:
    with pytest.raises(ApiError) as caught:
        call(name)
    expected = dict(CASES[name]["expect"]["error"])
    assert type(caught.value).__name__ == expected.pop("kind")
    assert {key: getattr(caught.value, key) for key in expected} == expected


@pytest.mark.parametrize("name", UNTYPED)
def test_what_types_forbid_is_not_asked(name: str, call, replay: str) -> None:
    with pytest.raises(TypeError):
        call(name)
    assert name not in {row["case"] for row in seen(replay)}


@pytest.mark.parametrize("name", [n for n in CASES if n not in UNTYPED])
def test_each_call_is_one_request_by_its_name(name: str, call, replay: str) -> None:
    before = len(seen(replay))
    with suppress(ApiError):
        call(name)
    (row,) = seen(replay)[before:]
    assert (row["case"], row["differences"]) == (name, [])
    assert row["headers"]["x-request-id"]
    if row["method"] == "POST":
        assert 0 < int(row["headers"]["x-request-timeout-ms"]) <= 30_000


def summary(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "task": model.task,
        "labels": len(model.labels),
        "state": model.manifest["status"]["state"],
    }


def seen(replay: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{replay}/_seen") as reply:
        return json.loads(reply.read())

"""The SDK's README is true: its code runs as it is printed, and its defaults are the defaults."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import boxport_client
import pytest
from boxport_client import BoxportError, Client
from PIL import Image

from tests.paths import ROOT

README = ROOT / "clients" / "python" / "README.md"
TEXT = README.read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with what the examples speak of."""
    (tmp_path / "photos").mkdir()
    for path in (tmp_path / "cat.jpg", tmp_path / "photos" / "cat.jpg"):
        path.write_bytes((photos / "cat.jpg").read_bytes())
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS)
def test_code_runs_as_printed(
    block: str, url: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    if "detect_video" in block:
        av = pytest.importorskip("av")
        with av.open(str(folder / "film.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 448, 300, "yuv420p"
            picture = Image.open(folder / "cat.jpg").resize((448, 300))
            for _ in range(6):
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
            container.mux(stream.encode())
    exec(block.replace("http://localhost:3000", url), {})
    said = capsys.readouterr().out
    assert "cat" in said
    if "draw" in block:
        assert said.startswith("cat 0.")
        assert said.strip().endswith("tiger cat")
        with Image.open(folder / "cat-with-boxes.png") as drawn:
            assert drawn.size == (451, 300)
    if "outcome.error" in block:
        assert "broken.jpg: 422 invalid_image" in said.replace("photos/", "")
        assert (folder / "answers.jsonl").exists()
    if "film" in block:
        assert said == "0.0 s: ('cat',)\n0.5 s: ('cat',)\n"


def test_there_is_code() -> None:
    assert len(BLOCKS) == 5


def test_defaults_are_as_told() -> None:
    parameters = dict(inspect.signature(Client).parameters)
    told = re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT.split("## Settings")[1], re.MULTILINE)
    assert [name for name, _ in told] == list(parameters)
    for name, words in told:
        default = parameters[name].default
        if default is not None:
            assert f"{default:g}" in words or f"`{default}`" in words


def test_errors_are_as_told() -> None:
    table = TEXT.split("## When something goes wrong")[1].split("## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", row):
            assert issubclass(getattr(boxport_client, name), BoxportError)


def test_extras_exist() -> None:
    project = README.with_name("pyproject.toml").read_text("utf-8")
    named = set(re.findall(r"boxport-client\[(\w+)\]", TEXT))
    assert named >= {"progress", "video", "http2"}
    for extra in named:
        assert re.search(rf"^{extra} = ", project, re.MULTILINE)

"""What is copied does what the page did."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.playground.bench import Bench
from tests.paths import ROOT

AWKWARD = "my cat's photo; (1).jpg"


@pytest.fixture
def adjusted(bench: Bench, photos: Path, tmp_path: Path) -> Bench:
    """A photo with a name that shells do not like, and every setting moved."""
    shutil.copy(photos / "astronaut.jpg", tmp_path / AWKWARD)
    bench.choose(tmp_path / AWKWARD)
    bench.answered(lambda: bench.page.select_option("#model", "retinanet_lite0_voc/1"))
    bench.slide("score", 0.08)
    bench.slide("most", 7)
    bench.answered(lambda: bench.slide("iou", 0.35))
    bench.answered(lambda: bench.page.check("#agnostic"))
    for label in bench.page.locator("#labels .chip").all()[:2]:
        label.click()
    assert 2 <= len(bench.rows()) <= 7
    return bench


def code(bench: Bench, tab: str) -> str:
    bench.page.click(f"#tab-{tab}")
    return bench.text("#snippet-code")


def test_the_command_gives_the_same(adjusted: Bench, tmp_path: Path) -> None:
    command = code(adjusted, "curl")
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    given, shown = json.loads(done.stdout), adjusted.answer()
    assert given["results"] == shown["results"]
    assert given["model"] == shown["model"]
    assert given.keys() == shown.keys()


def test_the_script_gives_the_same(adjusted: Bench, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code(adjusted, "python")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    printed = [tuple(line.split()[:2]) for line in done.stdout.splitlines()]
    assert [label for label, _ in printed] == [label for label, _ in adjusted.rows()]


def test_a_second_models_code_gives_the_same(bench: Bench, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "cat.jpg", tmp_path)
    bench.choose(tmp_path / "cat.jpg")
    bench.answered(lambda: bench.page.select_option("#then", "efficientnet_lite0_imagenet/1"))
    command = code(bench, "curl")
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    given, shown = json.loads(done.stdout), bench.answer()
    assert given["results"] == shown["results"]
    assert given["then"] == shown["then"] == json.loads(code(bench, "json"))["then"]
    script = subprocess.run(
        [sys.executable, "-c", code(bench, "python")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")},
        capture_output=True,
        text=True,
    )
    assert script.stdout.startswith("cat 0.97 "), script.stderr
    assert script.stdout.strip().endswith(bench.rows()[0][0].removeprefix("cat: "))


def test_without_a_setting_it_is_as_short_as_can_be(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "cat.jpg")
    assert code(bench, "curl").splitlines() == [
        f"curl -s {bench.url}/v1/detect \\",
        "  -H 'Content-Type: application/octet-stream' \\",
        "  --data-binary @cat.jpg",
    ]
    assert 'client.detect("cat.jpg")' in code(bench, "python")


def test_a_classifiers_code(bench: Bench, photos: Path, tmp_path: Path) -> None:
    bench.page.select_option("#model", "efficientnet_lite0_imagenet/1")
    bench.choose(photos / "coffee.jpg")
    bench.slide("top", 2)
    shutil.copy(photos / "coffee.jpg", tmp_path)
    command = code(bench, "curl")
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["results"] == bench.answer()["results"]
    assert 'client.classify("coffee.jpg", top_k=2)' in code(bench, "python")


def test_copy_fills_the_clipboard(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "cat.jpg")
    bench.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    bench.page.locator("#status:has-text('found')").wait_for()  # else this is said last
    text = code(bench, "python")
    bench.page.click("#copy")
    bench.page.locator("#copy:text('Copied')").wait_for()
    assert bench.page.evaluate("navigator.clipboard.readText()").strip() == text.strip()
    assert bench.text("#status") == "Copied"

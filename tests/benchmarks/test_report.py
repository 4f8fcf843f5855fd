"""The page that a run writes."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.machine import describe_machine
from benchmarks.report import write_report
from benchmarks.results import Results
from benchmarks.run import RunJob

MODEL = "efficientnet_lite0_imagenet"


@pytest.fixture
def results() -> Results:
    found = Results(describe_machine(), {**RunJob().settings, "quick": "no"})
    found.missing["TorchServe, ONNX"] = "Traceback\nit needs Java"

    def add(system: str, load: str, photos: str = "small", **figures: float) -> None:
        found.add(figures, system=system, model=MODEL, photos=photos, load=load)

    add("upper bound", "2 workers", per_second=150, cpu_ms=12)
    add("upper bound", "closed 1", "interleaved", p50_ms=9, p99_ms=18)
    add("upper bound", "closed 16", "interleaved", per_second=150, cpu_ms=12)
    add("upper bound", "open 70", "interleaved", p50_ms=12, p99_ms=27)
    add("minimal server", "closed 1", "interleaved", p50_ms=9.9, p99_ms=12)
    add("Boxport", "closed 1", "interleaved", p50_ms=10, p99_ms=13)
    add("Boxport", "closed 16", "interleaved", per_second=147, cpu_ms=12.6, loop_ms=0.4)
    for connections, speed in ((1, 90), (4, 140), (16, 144), (64, 145)):
        load = f"closed {connections}"
        latency = connections / speed * 1e3
        add(
            "Boxport",
            load,
            per_second=speed,
            p50_ms=latency,
            p99_ms=2 * latency,
            cpu_ms=12.6,
        )
        add("Peer", load, per_second=speed / 2, p50_ms=2 * latency, p99_ms=4 * latency, cpu_ms=25.2)
    stages = {"decode": 2, "queue": 0.1, "inference": 6.9, "service": 0.4, "http": 0.6}
    add("Boxport", "stages", **{f"{name}_ms": value for name, value in stages.items()})
    add("Peer", "start", seconds=3.5, pss_mb=400, rss_mb=500)
    for share in (50, 70, 90):
        add("Boxport", f"open {share}", "interleaved", p50_ms=12, p99_ms=20)
    for number, latency in ((1, 10), (2, 15), (32, 200)):
        add("Boxport", str(number), photos="growth images", p50_ms=latency)
    return found


def test_the_page_tells_ratios_and_shows_pictures(results: Results, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_report(results, page, tmp_path / "images")
    text = page.read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["**Boxport**", "0.96", "1.00", "1.00", "1.00", "1.00", "–", "–"] in rows  # noqa: RUF001
    assert ["Peer", "0.48", "2.00", "2.00", "2.00", "2.00", "400", "3.5"] in rows
    assert ["TorchServe, ONNX", "it needs Java"] in rows
    assert ["2", "7.5", "0.75"] in rows  # ms a photo of two, and over that of one
    name = "throughput at 16 connections / upper bound"
    assert [name, "EfficientNet-Lite0", "0.98", "≥ 0.9", "≥ 0.97", "goal"] in rows
    assert ["EfficientNet-Lite0", "in process, one photo at a time", "1.00", "2.00"] in rows
    assert ["EfficientNet-Lite0", "in process, 70 %", "1.33", "3.00"] in rows
    assert ["EfficientNet-Lite0", "9.0 ms", "1.10", "1.11"] in rows
    assert ["EfficientNet-Lite0", "one connection", "1.00", "1.30"] in rows
    assert ["EfficientNet-Lite0", "70 %", "1.20", "2.00"] in rows
    assert ["EfficientNet-Lite0", "12.0 ms", "1.050", "0.60 ms", "0.40 ms"] in rows
    shares = ["2.0 (20%)", "0.1 (1%)", "6.9 (69%)", "0.4 (4%)", "0.6 (6%)"]
    assert ["EfficientNet-Lite0, small photos", *shares] in rows
    for picture in re.findall(r"!\[.*\]\((.*)\)", text):
        assert ElementTree.parse(tmp_path / picture).getroot().tag.endswith("svg")
        assert (tmp_path / picture).stat().st_size < 150_000
    assert len(re.findall(r"!\[", text)) == 3
    assert "quick run" not in text


def test_tables_have_the_columns_of_their_heads(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path / "performance.md", tmp_path / "images")
    columns = None
    for line in (tmp_path / "performance.md").read_text().splitlines():
        if not line.startswith("|"):
            columns = None
            continue
        columns = columns or line.count("|")
        assert line.count("|") == columns, line


def test_the_same_results_give_the_same_page(results: Results, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(results, tmp_path / name / "performance.md", tmp_path / name / "images")
    one, two = (sorted((tmp_path / name).rglob("*.*")) for name in ("one", "two"))
    assert len(one) == 4
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_a_run_without_figures_still_has_a_page(tmp_path: Path) -> None:
    empty = Results(describe_machine(), {**RunJob().settings, "quick": "yes"})
    write_report(empty, tmp_path / "performance.md", tmp_path / "images")
    text = (tmp_path / "performance.md").read_text()
    assert "not measured" in text
    assert "quick run" in text
    assert "![" not in text

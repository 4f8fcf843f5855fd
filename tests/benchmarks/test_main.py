"""A tiny run, from the command to the page."""

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.boxport import boxport, requests_of, stages
from benchmarks.drive import drive
from benchmarks.packages import MODELS, make_store
from benchmarks.results import Results
from benchmarks.run import RunJob
from benchmarks.server import ServerError

TINY = ["--models", "EfficientNet", "--photo-sizes", "small", "--no-int8", "--seconds", "0.2"]


def invoke(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    files = ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "performance.md")]
    outcome = CliRunner().invoke(app, [*arguments, *files])
    return outcome.exit_code, outcome.output


def test_a_tiny_run_leaves_a_page(tmp_path: Path) -> None:
    code, output = invoke(tmp_path, "run", *TINY, "--only", "upper-bound", "--rounds", "1")
    assert code == 0, output
    results = Results.read(tmp_path / "cache" / "results.json")
    layouts = results.names("load", system="upper bound", metric="per_second")
    assert len(layouts) >= 3
    assert all((results.median(load=name, metric="per_second") or 0) > 0 for name in layouts)
    assert all((results.median(load=name, metric="cpu_ms") or 0) > 0 for name in layouts)
    page = (tmp_path / "performance.md").read_text()
    code, _ = invoke(tmp_path, "report")
    assert code == 0
    assert (tmp_path / "performance.md").read_text() == page


def test_names_of_the_first_version_still_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[RunJob] = []
    monkeypatch.setattr("benchmarks.__main__.measure", lambda job, *_: jobs.append(job))
    code, output = invoke(tmp_path, "run", "--only", "limit,heats", "--heats", "2")
    assert code == 0, output
    assert [(job.parts, job.interleaved_rounds) for job in jobs] == [
        (["upper-bound", "interleaved"], 2)
    ]


def test_peers_and_models_are_found_in_whatever_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[RunJob] = []
    monkeypatch.setattr("benchmarks.__main__.measure", lambda job, *_: jobs.append(job))
    code, output = invoke(
        tmp_path, "run", "--peers", "fastapi, MLSERVER", "--models", "efficientnet"
    )
    assert code == 0, output
    assert jobs[0].peers == ["FastAPI", "FastAPI, runs of one thread", "MLServer"]
    assert [model.title for model in jobs[0].models] == [
        model.title for model in MODELS if "EfficientNet" in model.title
    ]


@pytest.mark.parametrize("option", ["--peers", "--models"])
def test_a_name_that_matches_nothing_is_said(tmp_path: Path, option: str) -> None:
    code, output = invoke(tmp_path, "run", option, "fastapy")
    assert code == 2
    assert "'fastapy' is in none of" in " ".join(output.replace("│", "").split())


def test_a_wrong_part_is_named(tmp_path: Path) -> None:
    code, output = invoke(tmp_path, "run", "--only", "limits")
    assert code == 2
    words = " ".join(output.replace("│", "").split())
    assert "'limits' is not one of upper-bound, boxport, peers, interleaved, growth" in words


def test_a_report_needs_a_run(tmp_path: Path) -> None:
    code, _ = invoke(tmp_path, "report")
    assert code == 1


def test_capacity_of_given_figures() -> None:
    figures = ["--photo-ms", "10", "--loop-ms", "0.5", "--processors", "2", "--price", "0.36"]
    outcome = CliRunner().invoke(app, ["capacity", *figures, "--rates", "10,100"])
    assert outcome.exit_code == 0, outcome.output
    rows = [line.strip("|").split("|") for line in outcome.output.splitlines() if "10 ms" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[1:3] for row in cells] == [["10", "2"], ["100", "2"]]
    assert cells[0][-1] == "20.00", "two machines of .36 an hour, 36,000 photos an hour"


def test_capacity_of_the_last_run_needs_one(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["capacity", "--cache", str(tmp_path)])
    assert outcome.exit_code == 1
    said = " ".join(outcome.output.split())  # the terminal wraps long paths
    assert "no such file; python -m benchmarks run" in said


@pytest.mark.full  # test_interleaved.py drives it in the default suite
def test_boxport_is_driven(tmp_path: Path, photos: Path) -> None:
    classifier = MODELS[-1]
    store = make_store([classifier.package], tmp_path / "store")
    with boxport(store, tmp_path) as server:
        requests = requests_of(photos, classifier.path)
        figures = drive(server, requests, tmp_path, 0.5, connections=2)
        began = time.perf_counter()
        (stage,) = stages(server, requests, 1)
        waited = (time.perf_counter() - began) * 1e3
        with pytest.raises(ServerError, match="Boxport answers 404 to a single request"):
            stages(server, requests_of(photos, "/v1/elsewhere"), 1)
        usage = server.usage()
    assert figures["per_second"] > 2
    assert figures["p50_ms"] <= figures["p99_ms"]
    assert 0 < figures["loop_ms"] < figures["cpu_ms"]
    assert list(stage) == ["decode", "queue", "inference", "service", "http"]
    assert all(milliseconds >= 0 for milliseconds in stage.values())
    assert 0.1 * waited < sum(stage.values()) < waited
    assert 50e6 < usage.pss <= usage.rss

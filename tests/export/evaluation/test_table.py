"""The comparison as people read it."""

from pathlib import Path

from rich.console import Console

from export.evaluation.column import PackageColumn
from export.evaluation.comparison import Comparison, Result
from export.evaluation.figures import Figures
from export.evaluation.photo_set import PhotoSet
from export.evaluation.table import to_table

from .columns import compare_classes


def test_a_table_shows_each_difference(classifier: PackageColumn) -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(to_table(compare_classes(classifier.manifest, 90, 87)))
    lines = captured.get().splitlines()
    row = next(line for line in lines if "top-1" in line)
    assert row.split() == ["top-1", "90.00", "87.00", "-3.00"]
    assert next(line for line in lines if "agreement" in line).split() == ["agreement", "97.00"]


def test_a_table_marks_what_could_not_be_measured(detector: PackageColumn) -> None:
    figures = (Figures({"ap": 0.5}, {"cat": 0.25}), Figures({"ap": 0.25}, {}))
    results = tuple(Result(detector, one, 1.0, 10.0) for one in figures)
    photo_set = PhotoSet("t [1]", 9, (Path("x"),))
    console = Console(width=100)
    with console.capture() as captured:
        console.print(to_table(Comparison(photo_set, "ap", 0.5, results)))
    assert "t [1]" in captured.get()
    assert "1 of 9 photos" in captured.get()
    row = next(line for line in captured.get().splitlines() if "AP cat" in line)
    assert row.split() == ["AP", "cat", "25.00", "-"]

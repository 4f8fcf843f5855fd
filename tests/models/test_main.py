"""`python -m models`: the list of architectures, as a terminal of any width shows it."""

import pytest
from typer.testing import CliRunner

from models.__main__ import app, describe, rows
from models.variants import VARIANTS, at_size


def listing(*arguments: str) -> list[list[str]]:
    """The printed table's lines, without its head, as words."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    head, *lines = result.output.splitlines()
    assert head.split() == ["name", "task", "input", "public", "checkpoint"]
    return [line.split() for line in lines]


def test_every_architecture_is_listed_in_a_line() -> None:
    assert [line[0] for line in listing()] == list(VARIANTS)


def test_a_line_says_what_an_architecture_is_for_and_what_it_reads() -> None:
    lines = {" ".join(line) for line in listing()}
    assert "resnet18 classification 224 x 224 top-1 69.758, ImageNet-1k" in lines
    assert "fasterrcnn_resnet50_fpn detection 800 to 1333 AP 37.0, COCO 2017" in lines
    assert "retinanet_lite0 detection 320 x 320" in lines  # nobody has published weights


def test_only_names_that_contain_the_argument_are_listed() -> None:
    assert [line[0] for line in listing("fasterrcnn")] == [
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_from_imagenet",
        "fasterrcnn_resnet50_fpn_roi_pool",
    ]
    assert [line[0] for line in listing("vgg1")] == [
        *("vgg11", "vgg11_bn", "vgg13", "vgg13_bn"),
        *("vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    ]


def test_a_part_that_no_name_contains_lists_nothing() -> None:
    assert listing("no such network") == []


@pytest.mark.parametrize("columns", [80, 100])
def test_names_are_whole_in_a_narrow_terminal(columns: int) -> None:
    """They are there to be copied."""
    result = CliRunner().invoke(app, [], env={"COLUMNS": str(columns)})
    assert set(VARIANTS) - set(result.output.split()) == set()


def test_help_says_what_it_lists() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "List the architectures" in result.output


def test_rows_are_of_the_names_that_contain_a_part() -> None:
    assert [row[0] for row in rows("resnet1")] == [
        *("resnet18", "resnet101", "resnet152"),
        *("retinanet_resnet18_fpn", "retinanet_resnet101_fpn"),
    ]


def test_an_input_is_described_by_its_size_or_by_its_sides() -> None:
    assert describe(VARIANTS["efficientnet_b7"].input) == "600 x 600"
    assert describe(VARIANTS["retinanet_resnet50_fpn"].input) == "800 to 1333"
    assert describe(at_size(VARIANTS["retinanet_resnet50_fpn"], 320).input) == "320 to 533"

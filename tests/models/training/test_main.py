"""The command line: what it accepts, and what it says of the rest."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from models.checkpoints import load_checkpoint
from models.training.__main__ import app
from models.training.dataset import training_side
from models.training.run import find_trainable
from models.variants import VARIANTS, at_size
from models.weights import load_into

KINDS = ("cat", "dog", "cow")


def make_coco(file: Path, images: Path, photos: int = 4, kinds: tuple[str, ...] = KINDS) -> Path:
    """Photos of 96 x 64 pixels, of every kind but the last, in one COCO file."""
    images.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": i, "file_name": f"{i}.jpg", "width": 96, "height": 64} for i in range(1, photos + 1)
    ]
    for row in rows:
        picture = Image.new("RGB", (96, 64), (150, 160, 140))
        picture.paste((255, 40, 40), (20, 10, 70, 50))
        picture.save(images / str(row["file_name"]))
    content = {
        "images": rows,
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [20, 10, 50, 40]}
            for i in range(1, photos + 1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(kinds, start=1)],
    }
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A COCO file alone."""
    return make_coco(tmp_path / "pets.json", tmp_path / "photos")


def run(architecture: str, data: Path, *options: str) -> tuple[int, str]:
    """The exit status, and what is said, in one line."""
    output = ("--output", str(data.parent / "run"))
    result = CliRunner().invoke(app, [architecture, "--data", str(data), *output, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def options_of(file: Path) -> tuple[str, ...]:
    return ("--images", str(file.parent / "photos"), "--validation-share", "0.25")


TRAIN = (
    *("--epochs", "1", "--batch-size", "3", "--workers", "0", "--input-size", "64"),
    *("--precision", "fp32", "--device", "cpu"),
)


def test_help_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, ["--help"])
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in re.sub("models.training …|PACKAGE,…", "", result.output)  # no option is cut
    assert "512 if not" in " ".join(lines)


@pytest.mark.parametrize(
    ("architecture", "size", "side"),
    [
        ("retinanet_resnet18_fpn", None, 512),
        ("retinanet_resnet18_fpn", 320, 320),
        ("efficientdet_d1", None, 640),
        ("efficientdet_d1", 256, 256),
        ("resnet50", None, 224),
    ],
)
def test_a_network_is_trained_at_its_own_size_if_that_does_not_vary(
    architecture: str, size: int | None, side: int
) -> None:
    assert training_side(find_trainable(architecture, size).input) == side


def test_a_coco_file_alone_is_checked_with_photos_held_out(file: Path) -> None:
    status, said = run("retinanet_resnet18_fpn", file, *options_of(file), "--check-only")
    assert status == 0
    assert "training on 3 photos with 3 boxes of 3 classes, measuring on 1 photos" in said
    assert "pets.json, COCO, pets.json: 4 photos with 4 boxes of 3 classes" in said
    assert "unused category: 1, which no photo shows: cow (3): an output that learns" in said
    assert not (file.parent / "run").exists()


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("retinanet", (), "there is no retinanet; did you mean retinanet_lite0"),
        ("xyz", (), "there is no xyz; `python -m models` lists all"),
        ("fasterrcnn_resnet50_fpn", (), "can be exported, but not trained"),
        ("retinanet_resnet18_fpn", ("--frozen-stages", "5"), "has 4 stages, not 5"),
        ("efficientdet_lite0", ("--views", "2"), "say how many, --frozen-stages"),
        ("resnet18", ("--mosaic", "0.5"), "--mosaic has no effect on a classification"),
        ("efficientdet_lite0", ("--label-smoothing", "0.1"), "has no effect on a detection"),
        ("efficientdet_lite0", ("--scale", "0", "1"), "a photo's size is more than 0"),
        ("efficientdet_lite0", ("--multi-scale", "0.1", "1"), "leaves less than 64 pixels"),
        (
            "efficientdet_lite0",
            ("--views", "2", "--frozen-stages", "1", "--multi-scale", "0.5", "1"),
            "leave --multi-scale out",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_line_before_the_data_is_read(
    file: Path, architecture: str, options: tuple[str, ...], message: str
) -> None:
    file.write_text("not JSON")
    status, said = run(architecture, file, *options)
    assert status == 1
    assert said.startswith("error: ")
    assert message in said
    assert not (file.parent / "run").exists()


def test_a_gpu_that_is_not_there_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # as on most machines
    assert run("efficientdet_lite0", file, "--device", "cuda") == (
        1,
        "error: --device cuda: PyTorch finds no GPU here",
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: None, "--validation-share 0.1"),
        (lambda f: f.write_text("[]"), "is not a COCO instances file"),
        (lambda f: (f.parent / "photos" / "2.jpg").unlink(), "1 fault; correct what"),
        (lambda f: (f.parent / "photos" / "2.jpg").write_bytes(b""), "1 fault; correct what"),
    ],
    ids=["no validation", "no COCO", "missing", "empty"],
)
def test_faults_of_the_data_are_said(file: Path, damage: object, message: str) -> None:
    damage(file)
    options = options_of(file) if message != "--validation-share 0.1" else ()
    status, said = run("efficientdet_lite0", file, *options)
    assert status == 1
    assert message in said


def test_photos_without_a_box_to_measure_on_are_refused(file: Path) -> None:
    content = json.loads(file.read_text())
    content["annotations"] = []
    file.write_text(json.dumps(content))
    status, said = run("efficientdet_lite0", file, *options_of(file))
    assert status == 1
    assert "none of the photos to measure on has a box" in said


def test_a_class_that_only_validation_has_is_a_fault(tmp_path: Path) -> None:
    for split, kinds in (("train", KINDS[:2]), ("val", (*KINDS[:1], "cow"))):
        make_coco(tmp_path / f"instances_{split}.json", tmp_path / split, kinds=kinds)
    status, said = run("efficientdet_lite0", tmp_path)
    assert status == 1
    assert "instances_val.json: its category 2 is 'cow', an id that is 'dog' among the exp" in said
    for split, names in (("train", KINDS[:2]), ("val", KINDS)):
        for name in names:
            (tmp_path / "classes" / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(tmp_path / "classes" / split / name / "1.png")
    status, said = run("resnet18", tmp_path / "classes")
    assert status == 1
    assert "is none of cat, dog" in said


def test_each_kind_of_fault_is_a_line_with_its_count_and_option(file: Path) -> None:
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"] = [20, 10, 80, 40]
    content["annotations"] += [
        {"id": i, "image_id": 1, "category_id": 9, "bbox": [1, 1, 9, 9]} for i in range(5, 12)
    ]
    file.write_text(json.dumps(content))
    check = (*options_of(file), "--check-only")
    status, said = run("efficientdet_lite0", file, *check)
    assert status == 1
    assert "box outside: 1 fault; --clip-boxes clips those that lie partly within, --skip" in said
    assert "unknown class: 7 faults; --skip-bad leaves what is wrong out" in said
    assert said.count("class 9 is not in the categories") == 5
    assert "… and 2 more" in said
    assert "8 faults; correct what is said above" in said
    assert "7 faults; correct" in run("efficientdet_lite0", file, *check, "--clip-boxes")[1]
    for option, boxes in (((), 3), (("--clip-boxes",), 4)):
        status, said = run("efficientdet_lite0", file, *check, "--skip-bad", *option)
        assert status == 0
        assert f": 4 photos with {boxes} boxes of 3 classes" in said


def test_a_category_that_nothing_is_of_is_left_out_if_asked(file: Path) -> None:
    options = (*options_of(file), "--check-only", "--skip-bad")
    status, said = run("efficientdet_lite0", file, *options)
    assert status == 0
    assert "no photo shows: cow (3): left out" in said
    assert "training on 3 photos with 3 boxes of 2 classes" in said


def test_two_coco_files_are_a_split(file: Path) -> None:
    other = make_coco(file.parent / "more.json", file.parent / "photos", photos=2)
    paths = ("--images", str(file.parent / "photos"), "--output", str(file.parent / "run"))
    options = ["resnet18", "--train", str(file), *paths, "--check-only"]
    said = CliRunner().invoke(app, options).output
    assert "--train has no effect on a classification" in " ".join(said.split())
    options[0] = "efficientdet_lite0"
    said = CliRunner().invoke(app, options).output
    assert "name the photos with --data, or two COCO files with --train and --val" in said
    said = CliRunner().invoke(app, [*options, "--val", str(other)]).output
    said = " ".join(said.split())
    assert "training on 4 photos with 4 boxes of 3 classes, measuring on 2 photos with 2" in said


def test_a_teacher_labels_the_photos_once(file: Path, store: Path) -> None:
    """A shipped detector, asked by `python -m export label`."""
    teacher = store / "efficientdet_lite0_voc" / "1"
    options = (*options_of(file), *TRAIN, "--teacher", str(teacher), "--distill", "0.5")
    status, said = run("efficientdet_lite0", file, *options)
    assert status == 0, said
    labels = file.parent / "run" / "pseudo_labels.json"
    content = json.loads(labels.read_text())
    assert len(content["images"]) == 3
    assert f"with {labels}: 3 photos" in said
    assert "distill was 0.5, not 0.0" in run("efficientdet_lite0", file, *options[:-2])[1]
    asked_without = (*options_of(file), *TRAIN, "--pseudo-labels", str(labels), "--distill", "0.5")
    assert "all 1 epochs are done" in run("efficientdet_lite0", file, *asked_without)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--distill", "0.5"), "--distill follows a teacher: name one, with --teacher"),
        (("--pseudo-labels", "none.json"), "none.json: No such file"),
        (("--teacher", "none"), "the teacher did not label the photos; the reason stands above"),
    ],
)
def test_a_teacher_that_is_not_there_is_said(
    file: Path, options: tuple[str, ...], message: str
) -> None:
    status, said = run("efficientdet_lite0", file, *options_of(file), *TRAIN, *options)
    assert status == 1
    assert message in said


def resnet18_of_torchvision() -> dict[str, torch.Tensor]:
    """The state of a ResNet-18 of 1000 classes as torchvision names it, at random."""
    generator = torch.Generator().manual_seed(7)
    state = VARIANTS["resnet18"].build(1000).state_dict()
    names = {k: k.removeprefix("backbone.").replace("classifier.", "fc.") for k in state}
    return {
        names[k]: torch.rand(v.shape, generator=generator) * 0.1 if v.is_floating_point() else v
        for k, v in state.items()
    }


def test_a_retinanet_starts_from_a_resnet_and_goes_on_as_it_began(file: Path) -> None:
    state = resnet18_of_torchvision()
    classifier = file.parent / "resnet18.pth"
    torch.save(state, classifier)
    more = (*options_of(file), *TRAIN, "--frozen-stages", "4", "--backbone", str(classifier))
    status, said = run("retinanet_resnet18_fpn", file, *more)
    assert status == 0, said
    assert "of torchvision ResNet" in said
    output = file.parent / "run"
    assert (
        "python -m export create retinanet_resnet18_fpn --input-size 64 --weights"
        f" {output / 'best.pth'} --output"
    ) in said
    best = load_checkpoint(output / "best.pth")
    assert best.architecture == "retinanet_resnet18_fpn"
    assert best.labels == ((1, "cat"), (2, "dog"), (3, "cow"))
    load_into(at_size(VARIANTS["retinanet_resnet18_fpn"], 64).build(3), best.state, "best.pth")
    for name, tensor in state.items():
        if not name.startswith("fc."):
            assert torch.equal(best.state[f"backbone.{name}"], tensor), name

    assert "all 1 epochs are done" in run("retinanet_resnet18_fpn", file, *more)[1]
    for options, message in (
        (("--frozen-stages", "2"), "frozen_stages was 4, not 2"),
        (("--flip", "0"), "flip was 0.5, not 0.0"),
        (("--input-size", "128"), "input size was 64, not 128"),
    ):
        status, said = run("retinanet_resnet18_fpn", file, *more, *options)
        assert status == 1
        assert message in said


def test_a_detector_starts_from_one_of_other_classes(file: Path) -> None:
    run("efficientdet_lite0", file, *options_of(file), *TRAIN)
    make_coco(file, file.parent / "photos", kinds=("one", "two"))
    start = ("--weights", str(file.parent / "run" / "best.pth"), "--output", str(file.parent / "2"))
    status, said = run("efficientdet_lite0", file, *options_of(file), *TRAIN, *start)
    assert status == 0, said
    assert "the class layer keeps its initial weights" in said

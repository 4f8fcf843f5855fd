"""A run learns what it is shown, and goes on after an interruption as if there had been none."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.progress import Progress
from typer.testing import CliRunner

from models.checkpoints import load_checkpoint
from models.datasets.coco import read_coco
from models.datasets.content import Annotations
from models.training.__main__ import app
from models.training.augment import Augment
from models.training.detection_task import DetectionTask
from models.training.devices import Process
from models.training.features import FeatureCache
from models.training.loop import Trainer
from models.training.optimizers import WeightAverage
from models.training.recipe import RECIPES, Recipe
from models.training.run_log import read_rows
from models.variants import VARIANTS, at_size, find_variant
from models.weights import load_backbone, load_into
from tests.paths import ROOT

CPU = Process(torch.device("cpu"))
SHAPES = ((255, 40, 40), (40, 40, 255))  # "red" and "blue"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures, each with a red and a blue rectangle, as training and validation photos."""
    folder = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    images, annotations = [], []
    for image_id in range(8):
        picture = Image.new("RGB", (160, 160), (150, 160, 140))
        for category, colour in enumerate(SHAPES):
            x, y = torch.randint(0, 80, (2,), generator=generator).tolist()
            width, height = torch.randint(40, 75, (2,), generator=generator).tolist()
            picture.paste(colour, (x, y, x + width, y + height))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": (3, 9)[category],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
        for split in ("train", "val"):
            (folder / split).mkdir(exist_ok=True)
            picture.save(folder / split / f"{image_id}.jpg")
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 160, "height": 160})
    categories = [{"id": 9, "name": "blue"}, {"id": 3, "name": "red"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    for split in ("train", "val"):
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def annotations(data: Path) -> Annotations:
    return read_coco(data / "instances_train.json", data / "train").annotations


def test_cache_gives_what_was_put_in() -> None:
    torch.manual_seed(0)
    cache = FeatureCache(views=3, photos=2)
    for view in range(3):
        features = [torch.full((2, 1, 2, 2), float(view)), torch.full((2, 4), view + 10.0)]
        boxes = [torch.full((view, 4), float(photo)) for photo in range(2)]
        cache.add(features, boxes, [torch.full((view, 2), photo) for photo in range(2)])
    seen = set()
    for epoch in range(50):
        cache.set_epoch(epoch)
        (first, second), boxes, targets = cache[1]
        view = int(first[0, 0, 0])
        seen.add(view)
        assert second[0] == view + 10
        assert boxes.shape == (view, 4)
        assert (boxes == 1).all()
        assert targets.tolist() == [[1, 1]] * view
    assert seen == {0, 1, 2}


def test_average_follows_the_weights() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = WeightAverage(layer, decay=0.5)
    torch.nn.init.ones_(layer.weight)
    for _ in range(40):
        average.update(layer)
    assert average.network.weight.item() == pytest.approx(1.0, abs=1e-6)
    assert not average.network.weight.requires_grad


@pytest.mark.full
def test_detector_learns_eight_pictures(
    annotations: Annotations, imagenet_weights: Path, tmp_path: Path
) -> None:
    variant = at_size(VARIANTS["efficientdet_lite0"], 256)
    torch.manual_seed(0)
    network = variant.build(2)
    load_backbone(network, load_checkpoint(imagenet_weights).state, "")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1  # the published .01 needs hundreds of steps
    frozen = {k: v.clone() for k, v in network.backbone.state_dict().items()}
    recipe = Recipe(
        epochs=70,
        batch_size=8,
        optimizer="adamw",
        learning_rate=0.024,
        ema_decay=0.9,
        frozen_stages=7,
        evaluate_every=70,
    )
    still = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0)
    task = DetectionTask(network, variant.input, recipe, CPU, annotations, annotations, still)
    cache = FeatureCache(views=1, photos=8)
    samples = [task.photos[i] for i in range(8)]
    images, boxes, targets = zip(*samples, strict=True)
    network.eval()
    cache.add(task.frozen_features(torch.stack(images)), list(boxes), list(targets))
    task.keep_features(cache)
    trainer = Trainer(network, "efficientdet_lite0", task, recipe, CPU, tmp_path)
    with Progress(disable=True) as progress:
        trainer.fit(progress)
    for name, before in frozen.items():
        torch.testing.assert_close(network.backbone.state_dict()[name], before)
    (*_, last) = read_rows(tmp_path / "log.csv")
    assert last["ap50"] > 0.95
    best = load_checkpoint(tmp_path / "best.pth")
    assert best.labels == ((3, "red"), (9, "blue"))
    load_into(variant.build(2), best.state, "best.pth")


OPTIONS = [
    *("--input-size", "128", "--epochs", "2", "--batch-size", "2", "--accumulate", "2"),
    *("--workers", "0", "--evaluate-every", "2", "--deterministic", "--mosaic", "0.5"),
    *("--multi-scale", "0.5", "1.5", "--precision", "fp32", "--device", "cpu"),
]


def command(data: Path, output: Path, *more: str) -> list[str]:
    return ["efficientdet_lite0", "--data", str(data), "--output", str(output), *OPTIONS, *more]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(arguments: list[str]) -> None:
    """In this process, which has imported PyTorch."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def whole_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody disturbed."""
    output = tmp_path_factory.mktemp("whole")
    run(command(data, output))
    return output


@pytest.mark.full  # test_resume.py interrupts a run in this process
def test_killed_run_ends_with_the_same_weights(data: Path, whole_run: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "models.training", *command(data, tmp_path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(read_rows(tmp_path / "log.csv")) < 1:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "best.pth").exists()
    run(command(data, tmp_path))
    for name in ("best.pth", "last.pth"):
        one, other = (load_checkpoint(folder / name).state for folder in (whole_run, tmp_path))
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), key
    rows = [read_rows(folder / "log.csv") for folder in (whole_run, tmp_path)]
    for one, other in zip(*rows, strict=True):
        for speed in (one, other):
            speed.pop("images_per_second")
        assert one == other


@pytest.mark.full
def test_two_processes_train_together(data: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    one_epoch = ("--epochs", "1", "--evaluate-every", "1", "--batch-size", "4")
    arguments = command(data, tmp_path, *one_epoch)
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "-m", "models.training", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert len(read_rows(tmp_path / "log.csv")) == 1
    assert b"2 processes" in done.stderr


def test_bad_data_stops_a_run_before_it_starts(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "instances_train.json").read_text())
    content["annotations"][0]["bbox"] = [10, 10, 0, 20]
    content["images"].append({"id": 99, "file_name": "gone.jpg", "width": 10, "height": 10})
    for split in ("train", "val"):
        (tmp_path / split).symlink_to(data / split)
        (tmp_path / f"instances_{split}.json").write_text(json.dumps(content))
    arguments = command(tmp_path, tmp_path / "run", "--check-only")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "4 faults" in result.output
    assert "gone.jpg" in result.output
    assert not (tmp_path / "run").exists()
    assert CliRunner().invoke(app, [*arguments, "--skip-bad"]).exit_code == 0


LEARN = (
    *("--input-size", "64", "--batch-size", "8", "--workers", "0", "--evaluate-every", "12"),
    *("--precision", "fp32", "--label-smoothing", "0.1"),
)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments of a run that learnt blue and red from folders; its output is the last."""
    folder = tmp_path_factory.mktemp("colours")
    for split, count in (("train", 8), ("val", 2)):
        for name, colour in (("blue", (30, 40, 220)), ("red", (220, 40, 30))):
            (folder / "data" / split / name).mkdir(parents=True)
            for i in range(count):
                photo = Image.new("RGB", (80 + i, 70), colour)
                photo.save(folder / "data" / split / name / f"{i}.jpg")
    arguments = [
        "resnet18",
        *LEARN,
        "--data",
        str(folder / "data"),
        "--output",
        str(folder / "run"),
    ]
    run([*arguments, "--epochs", "12"])
    return arguments


def test_classifier_learns_from_folders(learned: list[str]) -> None:
    output = Path(learned[-1])
    (*_, last) = read_rows(output / "log.csv")
    assert last["top1"] == 1
    checkpoint = load_checkpoint(output / "best.pth")
    assert checkpoint.labels == ((0, "blue"), (1, "red"))
    load_into(VARIANTS["resnet18"].build(2), checkpoint.state, "best.pth")


def test_run_leaves_what_it_promises(learned: list[str]) -> None:
    output = Path(learned[-1])
    assert {path.name for path in output.iterdir()} == {
        "best.pth",
        "last.pth",
        "state.pth",
        "log.csv",
        "tensorboard",
        "report.html",
        "settings.json",
    }
    assert [row["epoch"] for row in read_rows(output / "log.csv")] == [*range(1, 13)]
    assert any((output / "tensorboard").iterdir())


def test_another_recipe_does_not_go_on_with_a_run(learned: list[str]) -> None:
    result = CliRunner().invoke(app, [*learned, "--epochs", "4"])
    assert result.exit_code == 1
    assert "epochs was 12, not 4" in " ".join(result.output.split())


def test_group_norms_stand_for_batch_norms_outside_the_backbone() -> None:
    network = find_variant("efficientdet_lite0+groupnorm").build(2)
    kinds = {type(m) for n, m in network.named_modules() if not n.startswith("backbone")}
    assert torch.nn.GroupNorm in kinds
    assert torch.nn.BatchNorm2d not in kinds
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in network.backbone.modules())
    with pytest.raises(KeyError):
        find_variant("resnet18+groupnorm")


def test_learning_rate_warms_up_and_falls() -> None:
    recipe, steps = Recipe(warmup=0.1), 99
    assert recipe.rate_at(5, steps) == pytest.approx(0.5)
    assert recipe.rate_at(10, steps) == pytest.approx(1)
    assert recipe.rate_at(55, steps) == pytest.approx(0.5)
    assert 0 < recipe.rate_at(99, steps) < 0.001


def test_a_run_of_one_step_has_a_rate() -> None:
    assert Recipe(warmup=0.1).rate_at(1, 1) > 0.5


def test_papers_rate_is_that_of_its_batch() -> None:
    assert Recipe(batch_size=128).peak_rate == pytest.approx(0.08)
    assert Recipe(batch_size=16, accumulate=2).peak_rate == pytest.approx(0.02)
    assert RECIPES["small"].peak_rate == pytest.approx(1.5e-3)

"""docs/bring-your-own.md: each owner's template proves a package, with seeded weights."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from export.__main__ import app
from service.manifest import read_manifest
from tests.docs.pages import DOCS
from tests.paths import ROOT

PAGE = DOCS / "bring-your-own.md"
PHOTOS = ("astronaut.jpg", "cat.jpg", "photographer.jpg", "coffee.jpg")
# The templates import torchvision as their owners have it; here it may lack its compiled part.
COMPILED = "import tests.fidelity.oracles\n"
SIDE = 128
SMALL = {"min_size": SIDE, "max_size": 213}  # in place of 800 and 1333, for time
LIGHTNING = """
import lightning
import torch
from torchvision.models import resnet18

class Classifier(lightning.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = resnet18(num_classes=3)

    def forward(self, x):
        return self.net(x)
"""


def section(title: str) -> tuple[str, list[str]]:
    """Its template, and what its command is called with."""
    text = PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    [template] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [command] = re.findall(r"```sh\npython -m export (.*?)\n```", text, re.DOTALL)
    return template, shlex.split(command)


def told_apart(model: torch.nn.Module, transform: Callable[..., torch.Tensor]) -> None:
    """Have a classifier with random weights give photos answers that differ."""
    from PIL import Image

    paths = sorted((ROOT / "docs" / "photos").glob("*.jpg"))
    photos = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        model.train()(photos)
        logits = model.eval()(photos)
        factor = 0.3 / logits.std(dim=0)  # random networks amplify the resize's rounding
        last.weight *= factor[:, None]
        last.bias.copy_((last.bias - logits.mean(dim=0)) * factor)


def torchvision_detector(folder: Path) -> None:
    from tests.fidelity.owners import make_weights

    torch.save(make_weights("retinanet"), folder / "detector.pth")


def torchvision_classifier(folder: Path) -> None:
    from tests.fidelity.oracles import get_model, seeded_state, torchvision

    model = get_model("resnet50", weights=None, num_classes=3)
    model.load_state_dict(seeded_state(model))  # else its depth turns a grey level into a class
    told_apart(model, torchvision.models.ResNet50_Weights.DEFAULT.transforms())
    torch.save(model.state_dict(), folder / "classifier.pth")


def timm_model(folder: Path) -> None:
    from tests.fidelity.oracles import timm

    model = timm.create_model("efficientnet_b0", num_classes=3)
    settings = timm.data.resolve_model_data_config(model)
    told_apart(model, timm.data.create_transform(**settings))
    torch.save(model.state_dict(), folder / "timm.pth")


def effdet_model(folder: Path) -> None:
    from models.variants import VARIANTS
    from models.weights import load_into
    from tests.fidelity.measure import calibrate, photo_input
    from tests.fidelity.oracles import EfficientDet, get_efficientdet_config, seeded_state

    config = get_efficientdet_config("tf_efficientdet_lite0")
    config.num_classes = 3
    state = seeded_state(EfficientDet(config, pretrained_backbone=False))
    ours = VARIANTS["efficientdet_lite0"].build(3).eval()
    load_into(ours, state, "effdet")
    photo = ROOT / "docs" / "photos" / "astronaut.jpg"
    calibrate("efficientdet_lite0", ours, state, photo_input("efficientdet_lite0", 320, photo))
    torch.save(state, folder / "effdet.pth")


def lightning_module(folder: Path) -> None:
    from tests.fidelity.oracles import get_model, torchvision

    model = get_model("resnet18", weights=None, num_classes=3)
    told_apart(model, torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms())
    (folder / "training.py").write_text(LIGHTNING)
    content = {
        "state_dict": {f"net.{key}": value for key, value in model.state_dict().items()},
        "hyper_parameters": {"lr": 0.1},
        "hparams_name": "kwargs",
        "pytorch-lightning_version": "2.5.0",
    }
    torch.save(content, folder / "last.ckpt")


def hugging_face(folder: Path) -> None:
    from tests.fidelity.oracles import torchvision

    transformers = import_module("transformers")  # after it, see COMPILED
    config = transformers.ResNetConfig(
        layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], num_labels=3
    )
    model = transformers.ResNetForImageClassification(config)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.model(x).logits

    told_apart(Logits(), torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms())
    model.save_pretrained(folder / "checkpoint")
    processor = transformers.ConvNextImageProcessor(
        size={"shortest_edge": 224},
        crop_pct=0.875,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    processor.save_pretrained(folder / "checkpoint")


@pytest.mark.full
@pytest.mark.parametrize(
    ("title", "make", "needs"),
    [
        ("torchvision, a detector", torchvision_detector, ""),
        ("torchvision, a classifier", torchvision_classifier, ""),
        ("timm", timm_model, ""),
        ("effdet", effdet_model, ""),
        ("Lightning", lightning_module, "lightning"),
        ("Hugging Face", hugging_face, "transformers"),
    ],
    ids=["torchvision detector", "torchvision classifier", "timm", "effdet", "Lightning", "HF"],
)
def test_an_owners_template_proves_a_package(
    title: str,
    make: Callable[[Path], None],
    needs: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if needs and find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed, nor a dependency")
    template, command = section(title)
    torch.manual_seed(0)
    make(tmp_path)
    if title == "torchvision, a detector":
        template = template.replace("num_classes=4", f"num_classes=4, **{SMALL}")
        command += ["--input-size", str(SIDE)]
    (tmp_path / "mine.py").write_text(COMPILED + template)
    classes = 4 if title == "torchvision, a detector" else 3
    (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(classes)))
    (tmp_path / "photos").mkdir()
    for name in PHOTOS:
        (tmp_path / "photos" / name).symlink_to(photos / name)
    monkeypatch.chdir(tmp_path)
    path = [str(ROOT), *(p for p in sys.path if p)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output[-2000:]
    manifest = read_manifest(tmp_path / command[command.index("--output") + 1] / "manifest.json")
    assert manifest.parity.reference == "user_model"
    assert manifest.parity.graph is not None


@pytest.mark.parametrize("owner", ["torchvision", "timm", "effdet", "Lightning", "Hugging Face"])
def test_each_owner_has_a_way(owner: str) -> None:
    titles = re.findall(r"^## (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    title = next(title for title in titles if title.startswith(owner))
    template, command = section(title)
    compile(template, "mine.py", "exec")
    assert command[0] == "create"
    assert {"--weights", "--photos", "--reference", "--output"} <= set(command)

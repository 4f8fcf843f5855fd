"""Copies of the shipped packages under other names and versions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.paths import ROOT

CLASSIFIER, DETECTOR = "efficientnet_lite0_imagenet", "retinanet_lite0_voc"


def store_of(folder: Path, *names: str) -> Path:
    """A store in ``folder`` with some of the shipped models: each takes half a second to load."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(ROOT / "model_store" / name)
    return folder


def copy_package(
    source: Path, store: Path, name: str, version: str | int, **changes: object
) -> Path:
    """``source`` as ``store``/<name>/<version>, its manifest changed.

    It appears at once, as a good publisher would have it: written beside, and renamed.
    """
    folder = store / name / str(version)
    draft = store / name / f".{version}"
    draft.mkdir(parents=True)
    manifest = json.loads((source / "manifest.json").read_text())
    manifest.update(name=name, version=str(version), **changes)
    (draft / "manifest.json").write_text(json.dumps(manifest))
    shutil.copy(source / "model.onnx", draft)
    return draft.rename(folder)


def edit_manifest(package: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Let ``edit`` change the content of the manifest."""
    path = package / "manifest.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def rename_label(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest["labels"][3].update(name="unicorn"))


def break_graph(folder: Path) -> None:
    """Other bytes in the middle of the graph."""
    with (folder / "model.onnx").open("r+b") as graph:
        graph.seek(100_000)
        graph.write(b"tampered")


def remove_package(folder: Path) -> None:
    """Take it away at once."""
    shutil.rmtree(folder.rename(folder.parent / f".{folder.name}.gone"))

"""Which model answers where none is named."""

from pathlib import Path

from service.manifest import ModelManifest, read_manifest
from service.provenance import Accuracy
from service.repository.naming import default_name
from tests.packages import CLASSIFIER


def test_the_default_is_chosen_or_measured_best(store: Path) -> None:
    manifest = read_manifest(store / CLASSIFIER / "1" / "manifest.json")

    def named(name: str, **metrics: float) -> tuple[str, ModelManifest]:
        accuracy = Accuracy(data="val", images=9, metrics=metrics) if metrics else None
        return name, manifest.model_copy(update={"accuracy": accuracy})

    models = [named("a"), named("b", top1=0.5), named("c", top1=0.7), named("d", top1=0.7)]
    assert default_name(models, ()) == "c"
    assert default_name(models, ("x", "a")) == "a"
    assert default_name(models[:2], ()) == "b"
    assert default_name([named("a"), named("b", top5=0.9)], ()) == "a", "ranked by top-1 alone"

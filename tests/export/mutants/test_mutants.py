"""Every mutant of a detector's graph is caught, by the gate and by verify where files tell."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.evaluation.photo_set import read_photos
from export.onnx.graph import build_graph
from export.onnx.trace import describe, to_onnx
from export.parity.answers import check_answer, check_batch, check_settings
from export.parity.cases import distinct_images
from export.parity.comparison import TOLERANCES, ParityError
from export.parity.gate import check_parity
from export.parity.model import Feeds, Model, Outputs, onnx_model, open_quietly, torch_model
from export.verify import BATCH_SIZES
from models.variants import VARIANTS, Variant, at_size
from service.manifest import Label, ModelManifest, read_manifest
from service.package import ModelPackage
from tests.export.conftest import (
    LABELS,
    MEAN_LOGIT,
    MEAN_LOGIT_AT_64,
    SMALL_RETINANET,
    make_retinanet,
)
from tests.export.mutants.table import MUTANTS, Mutant
from tests.fidelity.report import keep_mutant

QUICK = [mutant for mutant in MUTANTS if mutant.quick]


@dataclass(frozen=True)
class Original:
    """A sound export, the network's own answers, and a manifest and photos for it."""

    model: onnx.ModelProto
    reference: Model
    manifest: ModelManifest
    photos: list[np.ndarray]


@pytest.fixture(scope="module")
def original(photos: Path, store: Path) -> Original:
    return make_original(VARIANTS["retinanet_resnet18_fpn"], photos, store)


@pytest.fixture(scope="module")
def small_original(photos: Path, store: Path) -> Original:
    """Of a network whose few layers make no difference to edits of what follows them."""
    return make_original(SMALL_RETINANET, photos, store, mean_logit=MEAN_LOGIT_AT_64)


def make_original(
    variant: Variant, photos: Path, store: Path, mean_logit: float = MEAN_LOGIT
) -> Original:
    """An untrained RetinaNet that finds much, of photos whose sides differ."""
    variant = at_size(variant, 64)
    network = make_retinanet(variant, photos, mean_logit=mean_logit)
    graph = build_graph(network, variant.input)
    model = to_onnx(variant, graph)
    reference, answers = torch_model(graph), dict[tuple[object, ...], Outputs]()

    def run(feeds: Feeds) -> Outputs:
        key = tuple((value.shape, value.tobytes()) for value in feeds.values())
        if key not in answers:
            answers[key] = reference.run(feeds)
        return answers[key]

    manifest = read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json").model_copy(
        update={
            "labels": tuple(Label(id=number, name=name) for number, name in LABELS),
            "input": variant.input,
            "inputs": describe(model.graph.input),
            "outputs": describe(model.graph.output),
        }
    )
    pixels = [photo.pixels for photo in read_photos(photos, variant.input)]
    return Original(model, Model("PyTorch", run), manifest, pixels)


def check_gate(original: Original, model: onnx.ModelProto) -> None:
    candidate = onnx_model(open_quietly(model))
    check_parity("detection", original.reference, candidate, original.photos, TOLERANCES["fp32"])


def check_files(original: Original, model: onnx.ModelProto) -> None:
    """As `verify` does, from the graph and photos alone."""
    package = ModelPackage(original.manifest, open_quietly(model))
    for photo in original.photos[:2]:
        check_answer(package, photo)
        check_settings(package, photo)
    for size in BATCH_SIZES:
        check_batch(package, distinct_images(original.photos, size))


def mutate(original: Original, mutant: Mutant) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    del model.graph.value_info[:]
    mutant.edit(model)
    return model


@pytest.mark.parametrize(
    "which", ["small_original", pytest.param("original", marks=pytest.mark.full)]
)
def test_original_passes(request: pytest.FixtureRequest, which: str) -> None:
    original: Original = request.getfixturevalue(which)
    check_gate(original, original.model)
    check_files(original, original.model)


def outcome(original: Original, mutant: Mutant) -> tuple[bool, bool]:
    """Whether the gate and `verify` catch the mutant."""
    model = mutate(original, mutant)
    open_quietly(model)  # a graph that no runtime opens would prove nothing
    return (
        is_caught(check_gate, original, model, ParityError),
        is_caught(check_files, original, model, Exception),  # whatever is raised is a fault to it
    )


def is_caught(
    check: Callable[[Original, onnx.ModelProto], None],
    original: Original,
    model: onnx.ModelProto,
    fault: type[Exception],
) -> bool:
    try:
        check(original, model)
    except fault:
        return True
    return False


@pytest.mark.parametrize("mutant", QUICK, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(small_original: Original, mutant: Mutant) -> None:
    by_gate, by_verify = outcome(small_original, mutant)
    assert by_gate
    assert by_verify or not mutant.verify


@pytest.mark.full
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_of_a_published_network_is_caught(original: Original, mutant: Mutant) -> None:
    by_gate, by_verify = outcome(original, mutant)
    keep_mutant(mutant.name, by_gate, by_verify, mutant.verify)
    assert by_gate
    assert by_verify or not mutant.verify

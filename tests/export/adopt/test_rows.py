"""Every row of the table, on a made file: found without help, any batch, parity."""

from pathlib import Path

import pytest

from export.adopt.adoption import AdoptionJob, manifest_of, plan_of
from export.adopt.batch import batched
from export.adopt.build import build
from export.adopt.decoders import DECODERS
from export.adopt.prove import prove
from export.evaluation.photo_set import find_photos
from export.onnx.checks import check_graph
from export.onnx.trace import OPSET
from export.parity.model import onnx_model, open_quietly
from service.imaging.files import read_photo
from service.runtime.graph_facts import check_facts
from tests.export.adopt.made import MADE
from tests.export.adopt.maker import Made
from tests.paths import ROOT

PHOTOS = find_photos(ROOT / "docs/photos")[:3]


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_made_file_is_adopted(made: Made, tmp_path: Path) -> None:
    job = AdoptionJob(
        made.write(tmp_path),
        tmp_path / "made/1",
        ROOT / "docs/photos",
        made.labels,
        outputs=made.outputs,
        given=made.given,
    )
    plan = plan_of(job)
    assert plan.decoder.name == made.expected
    network, batching = batched(plan.foreign, plan.match)
    assert batching == made.batching
    model = build(plan, network, batching)
    check_graph(model, OPSET)
    photos = [read_photo(path, plan.input).pixels for path in PHOTOS]
    parity = prove(plan, onnx_model(open_quietly(model)), photos)
    assert parity.reference == "foreign_onnx"
    assert parity.unproven == ("pre-processing",)
    manifest = manifest_of(job, plan, model, model.SerializeToString(), parity, batching)
    assert check_facts(manifest, model) is None


def test_every_row_has_a_made_file() -> None:
    assert {made.expected for made in MADE} == set(DECODERS)

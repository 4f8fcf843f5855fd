"""What tables and charts say of a package, from its manifest."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from export.report import tables
from export.report.charts import accuracy_chart, class_chart, latency_chart, score_charts
from export.report.latency import Latency
from models.calibration import Judged
from service.imaging.input_spec import InputSpec
from service.manifest import ModelManifest, read_manifest
from service.provenance import Accuracy

CLASSIFIER, DETECTOR = "efficientnet_lite0_imagenet", "efficientdet_lite0_voc"
LATENCY = Latency(1, 1, 30, 20.0, 25.0, 1.0)


@pytest.fixture
def manifest(store: Path) -> ModelManifest:
    return read_manifest(store / DETECTOR / "1" / "manifest.json")


def measured(manifest: ModelManifest, latency: Latency = LATENCY) -> tables.Measured:
    return tables.Measured(manifest, 13_000_000, (latency,))


def with_accuracy(manifest: ModelManifest, ap: float, images: int = 1000) -> ModelManifest:
    accuracy = Accuracy(data="set", images=images, metrics={"ap": ap})
    return manifest.model_copy(update={"accuracy": accuracy})


def test_headlines_lead_with_what_decides(manifest: ModelManifest) -> None:
    lines = {item.name: item.value for item in tables.headlines(measured(manifest))}
    assert lines == {
        "Parity": "Passed",
        "AP": f"{manifest.accuracy.metrics['ap']:.3f}",
        "One photo": "20 ms",
        "File": "13.0 MB",
        "Licence": "Apache-2.0",
    }


def test_reservations_name_what_speaks_against_deploying(manifest: ModelManifest) -> None:
    def told(manifest: ModelManifest, *others: ModelManifest, share: float = 1.0) -> str:
        package = measured(manifest, replace(LATENCY, cpu_share=share))
        return " ".join(tables.reservations(package, [measured(other) for other in others]))

    good = with_accuracy(manifest, 0.25)
    assert told(good) == ""
    assert told(good, with_accuracy(manifest, 0.254)) == ""
    assert "loses 0.6 points of AP against fp32" in told(good, with_accuracy(manifest, 0.256))
    assert "on 9 photos only" in told(with_accuracy(manifest, 0.25, images=9))
    assert "Accuracy was not measured" in told(manifest.model_copy(update={"accuracy": None}))
    assert "had a processor for 40 % of the time" in told(good, share=0.4)
    unknown = good.provenance.model_copy(update={"licence": "unknown"})
    assert "licence of the weights is unknown" in told(
        good.model_copy(update={"provenance": unknown})
    )
    loose = good.parity.model_copy(update={"agreeing": 0.97, "reference": "boxport_network"})
    assert "3 % of its answers differ from those of Boxport's own network" in told(
        good.model_copy(update={"parity": loose})
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, {"Photo lies in": "the top left corner", "Filled with": "RGB 128, 128, 128"}),
        ({"anchor": "centre"}, {"Photo lies in": "the centre"}),
        (
            {"resize": "stretch", "antialias": False, "channel_order": "bgr", "scale": 1.0},
            {
                "Resize": "each side scaled by itself",
                "Interpolation": "bilinear, without antialias",
                "Normalisation, inside the graph": "BGR / 1, mean 0.5, 0.5, 0.5; std 0.5, 0.5, 0.5",
                "Photo lies in": None,
                "Filled with": None,
            },
        ),
    ],
    ids=["letterbox", "centred", "stretch"],
)
def test_input_is_described(
    manifest: ModelManifest, changes: dict[str, Any], words: dict[str, str | None]
) -> None:
    content = manifest.input.model_dump()
    if "resize" in changes:
        content = {key: content[key] for key in content.keys() - {"fill", "anchor"}}
    spec = TypeAdapter(InputSpec).validate_python({**content, **changes})
    rows = tables.input_rows(manifest.model_copy(update={"input": spec}))
    assert {key: rows.get(key) for key in words} == words


def test_bars_keep_within_the_chart(manifest: ModelManifest) -> None:
    chart = latency_chart([measured(manifest), measured(manifest, replace(LATENCY, p95_ms=None))])
    ((_, (bar, without_mark)),) = chart.rows
    assert (chart.percent(bar.value), chart.percent(bar.mark)) == (80, 100)
    assert without_mark.mark is None
    unmeasured = measured(manifest.model_copy(update={"accuracy": None}))
    assert accuracy_chart([unmeasured]) is class_chart([unmeasured]) is None


def test_of_very_many_classes_the_best_and_the_worst_are_drawn(manifest: ModelManifest) -> None:
    classes = {f"class {i}": i / 100 for i in range(100)}
    accuracy = Accuracy(data="set", images=100, metrics={"ap": 0.5}, classes=classes)
    chart = class_chart([measured(manifest.model_copy(update={"accuracy": accuracy}))])
    names = [name for name, _ in chart.rows]
    assert len(names) == 40
    assert (names[0], names[-1]) == ("class 99", "class 0")
    assert "of 100 classes" in chart.note


def test_scores_are_drawn_beside_how_often_they_are_right() -> None:
    scores, right = np.array([0.93, 0.91, 0.32, 0.04]), np.array([True, False, True, False])
    reliability, thresholds = score_charts(Judged(scores, right, 3))
    assert [(name, bars[0].value, bars[0].mark) for name, bars in reliability.rows] == [
        ("1 of about 0.32", 1, pytest.approx(0.32)),
        ("2 of about 0.92", 0.5, pytest.approx(0.92)),
    ]
    error = (0.68 + 2 * 0.42) / 3
    assert f"they are {error:.3f} apart" in reliability.note
    rows = {name: tuple(bar.value for bar in bars) for name, bars in thresholds.rows}
    assert rows["0.30"] == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert rows["0.95"] == (1, 0)
    assert "F1, the mean of both, is best at 0.18." in thresholds.note


def test_scores_of_a_classifier_or_of_nothing_are_not_drawn() -> None:
    assert score_charts(None) == []
    assert score_charts(Judged(np.zeros(0), np.zeros(0, dtype=bool), 3)) == []

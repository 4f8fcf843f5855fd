"""A package as one web page: what it is, its accuracy and latency, how it was proven.

latency.py     how long the package takes on this machine
examples.py    photos, with what the package and its reference find in them
tables.py      words and figures
charts.py      the bars of the figures
report.html    the page
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from export.report import tables
from export.report.charts import accuracy_chart, class_chart, latency_chart, score_charts
from export.report.examples import make_examples
from export.report.latency import machine_name, measure_latency
from models.calibration import Judged
from models.training.report.galleries import chips
from models.training.report.page import render
from service.imaging.files import read_photo
from service.manifest import GRAPH_FILE, MANIFEST_FILE, read_manifest
from service.package import ModelPackage, open_package

REPORT_FILE = "report.html"


def write_report(
    folder: Path,
    photos: Sequence[Path],
    reference: ModelPackage,
    others: Sequence[Path] = (),
    judged: Judged | None = None,
) -> None:
    """Write ``report.html`` beside the package in ``folder``: one page that needs nothing else.

    photos: those that examples are chosen from. reference: what the package was compared with; its
    ``session`` may be `export.parity.TorchSession`. others: packages of the same model in other
    precisions, shown beside it. judged: a detector's detections on the photos that its accuracy was
    measured on.

    Raises PhotoError or PackageError.
    """
    package = open_package(folder, threads=0)
    image = read_photo(photos[0], package.manifest.input).pixels
    packages = [
        tables.Measured(
            read_manifest(path / MANIFEST_FILE),
            (path / GRAPH_FILE).stat().st_size,
            measure_latency(path, image),
        )
        for path in (folder, *others)
    ]
    first, content = packages[0], (folder / MANIFEST_FILE).read_bytes()
    drawn = (accuracy_chart(packages), class_chart(packages), *score_charts(judged))
    page = render(
        Path(__file__).with_name(REPORT_FILE),
        (tables.metric_name, tables.megabytes, tables.milliseconds, tables.percent, chips),
        manifest=first.manifest,
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        mark=manifest_mark(content),
        packages=packages,
        metric_keys=[key for key in tables.LEADING if any(key in p.metrics for p in packages)],
        reference_name=tables.reference_name,
        headlines=tables.headlines(first),
        summary=tables.summary(first.manifest),
        reservations=tables.reservations(first, packages[1:]),
        tolerance_rows=tables.tolerance_rows(first.manifest),
        input_rows=tables.input_rows(first.manifest),
        accuracy_charts=[chart for chart in drawn if chart is not None],
        latency_chart=latency_chart(packages),
        machine=machine_name(),
        examples=make_examples(photos, reference, package),
    )
    (folder / REPORT_FILE).write_text(page, encoding="utf-8")


def manifest_mark(manifest: bytes) -> str:
    """A tag of the page that names the manifest, by the sha256 of its file's bytes."""
    return f'<meta name="boxport-manifest" content="{hashlib.sha256(manifest).hexdigest()}">'

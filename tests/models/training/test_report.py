"""The report is one page that needs no other, tells every figure, and escapes what it is given."""

import base64
import io
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.evaluation import BoxRow
from models.training.report import (
    TrainingReport,
    judge_classifications,
    judge_detections,
    write_report,
)
from models.training.report.galleries import BOXES_OF_A_ROLE, JPEG_QUALITY, MISTAKES, PHOTO_SIDE
from tests.html_page import Page

EVIL = "<script>alert('cat')</script>"
CAT, DOG, BIRD = 1, 5, 7
NAMES = {CAT: EVIL, DOG: "dog & co", BIRD: "bird"}
LOG = [
    {"epoch": 1.0, "class_loss": 1.5, "box_loss": 0.75, "images_per_second": 11.0},
    {"epoch": 2.0, "class_loss": 0.5, "box_loss": math.nan, "ap": 0.125, "ap50": 0.375},
    {"epoch": 3.0, "class_loss": 0.25, "box_loss": 0.5, "ap": 0.25, "ap50": None},
]
ABOUT = {"Architecture": "efficientdet_lite0", "Hardware": "2 CPU cores <fast>"}
HERE, THERE, ELSEWHERE = (20, 20, 80, 80), (200, 100, 80, 80), (300, 10, 60, 60)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos, as large as cameras make them and as hard to compress as leaves."""
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((1600, 1200))
    for i in range(6):
        image.save(folder / f"<{i}>.jpg")
    return folder


def annotations(*objects: tuple[int, int, tuple[int, ...]], count: int = 6) -> dict:
    return {
        "images": [{"id": i, "width": 400, "height": 300} for i in range(count)],
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        "annotations": [
            {"id": i, "image_id": photo, "category_id": category, "bbox": list(box)}
            for i, (photo, category, box) in enumerate(objects)
        ],
    }


def detections(photos: Path) -> TrainingReport:
    """One photo of each kind of mistake; the bird is nowhere."""
    truth = annotations(
        (0, CAT, HERE),
        (1, CAT, HERE),
        (2, CAT, HERE),
        (3, CAT, HERE),
        (3, DOG, THERE),
        (4, CAT, HERE),
        (5, CAT, HERE),
    )
    rows = [
        BoxRow(0, DOG, HERE, 0.95),  # wrong class
        BoxRow(1, CAT, HERE, 0.9),
        BoxRow(1, DOG, ELSEWHERE, 0.85),  # false
        BoxRow(2, CAT, (60, 20, 80, 80), 0.75),  # badly placed: IoU 1/3
        BoxRow(3, CAT, HERE, 0.7),
        BoxRow(3, CAT, (22, 20, 80, 80), 0.65),  # found twice; the dog is missed
        BoxRow(4, CAT, HERE, 0.6),  # right
        BoxRow(5, CAT, HERE, 0.3),  # not above the threshold
    ]
    judged = judge_detections(truth, rows, lambda i: photos / f"<{i}>.jpg")
    return TrainingReport("A & B", ABOUT, {"Epochs": "3"}, LOG, *judged)


def classifications(photos: Path) -> TrainingReport:
    probabilities = np.array(
        [[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.25, 0.25, 0.5]], dtype=np.float32
    )
    paths = [photos / f"<{i}>.jpg" for i in range(4)]
    names = list(NAMES.values())
    log = [{"epoch": 1, "train_loss": 2.0, "top1": 0.25, "top5": 0.75}]
    judged = judge_classifications(names, probabilities, [0, 0, 2, 1], paths)
    return TrainingReport("C", ABOUT, {}, log, *judged)


def short_report(judged: tuple) -> TrainingReport:
    """Of a run of which nothing else is known."""
    return TrainingReport("Training report", {}, {}, [], *judged)


def page_of(report: TrainingReport, folder: Path) -> tuple[Page, str]:
    write_report(folder / "report.html", report)
    html = (folder / "report.html").read_text(encoding="utf-8")
    return Page(html), html


@pytest.fixture(scope="module", params=[detections, classifications])
def page(
    request: pytest.FixtureRequest, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Page, str]:
    return page_of(request.param(photos), tmp_path_factory.mktemp("page"))


def test_every_element_is_closed(page: tuple[Page, str]) -> None:
    assert page[0].open == []
    assert page[1].startswith("<!DOCTYPE html>")


def test_nothing_is_fetched_from_elsewhere(page: tuple[Page, str]) -> None:
    for tag, attributes in page[0].elements:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg;base64,"))
    assert "url(" not in page[1]
    assert "@import" not in page[1]
    assert not re.search(r"https?:", page[1])


def test_pictures_have_an_alternative_and_are_small(page: tuple[Page, str]) -> None:
    images = page[0].all("img")
    assert images
    for image in images:
        assert image["alt"].startswith("Photo ")
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(data)) as shown:
            assert max(shown.size) == PHOTO_SIDE
        assert len(data) < 150_000
    for drawing in page[0].all("svg"):
        assert drawing.get("aria-hidden") == "true" or drawing["aria-label"]


def test_headings_do_not_skip_a_level(page: tuple[Page, str]) -> None:
    levels = [int(tag[1]) for tag, _ in page[0].elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    assert len(page[0].all("caption")) == len(page[0].all("table"))


def test_links_lead_to_sections(page: tuple[Page, str]) -> None:
    targets = {attributes.get("id") for _, attributes in page[0].elements}
    links = [link["href"].removeprefix("#") for link in page[0].all("a")]
    assert links
    assert set(links) <= targets


def test_names_are_escaped(page: tuple[Page, str]) -> None:
    assert "<script" not in page[1]
    assert EVIL in page[0].text
    assert "<0>.jpg" in page[0].text


def test_every_class_and_setting_is_told(page: tuple[Page, str]) -> None:
    for text in (*NAMES.values(), *ABOUT, *ABOUT.values()):
        assert text in page[0].text


def test_figures_of_a_detector_are_told(photos: Path, tmp_path: Path) -> None:
    report = detections(photos)
    page, html = page_of(report, tmp_path)
    e = report.evaluation
    figures = (e.ap, e.ap50, e.ap75, e.ap_medium, e.ar100, *(c.ap50 for c in e.classes[:2]))
    for value in figures:
        assert f"{value:.3f}" in page.text
    assert "–" in page.text  # noqa: RUF001  no small object, no bird
    assert "A & B" in page.text
    assert "With scores above 0.3, 43 % of the objects are found" in page.text  # 3 of 7
    assert "43 % of what is reported is right" in page.text  # 3 of 7
    assert f"{EVIL} → nothing: 2 of 6, 33 %" in page.text
    assert html.count('<figure class="panel curve">') == 2  # there is no bird to be found


def test_loss_and_ap_are_drawn_where_they_were_measured(photos: Path, tmp_path: Path) -> None:
    page, html = page_of(detections(photos), tmp_path)
    labels = [svg.get("aria-label") or "" for svg in page.all("svg", role="img")]
    assert "Loss, epochs 1 to 3: class loss from 1.500 to 0.250, box loss from 0.750 to 0.500" in (
        labels
    )
    measured = "Measured on the validation photos, epochs 2 to 3"
    assert f"{measured}: AP from 0.125 to 0.250, AP50 from 0.375 to 0.375" in labels
    drawn = html[html.index('id="course"') : html.index('id="curves"')]
    assert drawn.count("<circle") == 3 + 2 + 2 + 1
    assert "nan" not in drawn


def test_each_kind_of_mistake_is_named(photos: Path) -> None:
    mistakes, missed, best = detections(photos).galleries
    assert [example.path.name for example in mistakes.examples] == [f"<{i}>.jpg" for i in range(4)]
    told = [[(r.kind, r.text) for r in example.remarks] for example in mistakes.examples]
    assert told == [
        [("wrong class", f"dog & co 0.95 for {EVIL}")],
        [("false", "dog & co 0.85")],
        [("badly placed", f"{EVIL} 0.75 (overlap 0.33)")],
        [("found twice", f"{EVIL} 0.65"), ("missed", "dog & co")],
    ]
    assert [example.path.name for example in missed.examples] == ["<5>.jpg"]
    assert [example.path.name for example in best.examples] == ["<4>.jpg"]
    roles = [[box.role for box in example.boxes] for example in mistakes.examples]
    assert roles == [
        ["truth", "wrong"],
        ["truth", "right", "wrong"],
        ["missed", "wrong"],
        ["truth", "missed", "right", "wrong"],
    ]


def test_mistakes_of_a_classifier_are_told_the_most_confident_first(
    photos: Path, tmp_path: Path
) -> None:
    report = classifications(photos)
    mistakes, best = report.galleries
    assert [example.remarks[0].text for example in mistakes.examples] == [
        f"dog & co 0.70 for {EVIL}",
        "bird 0.50 for dog & co",
    ]
    assert [example.path.name for example in best.examples] == ["<1>.jpg", "<2>.jpg"]
    page, _ = page_of(report, tmp_path)
    assert "50 % get their class as the first answer, 100 % among the first five" in page.text
    assert "Loss, epochs 1 to 1: train loss from 2.000 to 2.000" in (
        [svg.get("aria-label") for svg in page.all("svg", role="img")]
    )


def test_a_detector_that_finds_nothing_has_a_report(photos: Path, tmp_path: Path) -> None:
    truth = annotations((0, CAT, HERE), count=1)
    report = short_report(judge_detections(truth, [], lambda i: photos / f"<{i}>.jpg"))
    page, _ = page_of(report, tmp_path)
    assert [gallery.title for gallery in report.galleries] == ["Overlooked"]
    assert "0.000" in page.text
    assert page.open == []


def test_a_photo_that_cannot_be_read_leaves_a_gap(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_text("not a photo")
    truth = annotations((0, CAT, HERE), (1, CAT, HERE), count=2)
    report = short_report(judge_detections(truth, [], lambda i: tmp_path / f"{i}.jpg"))
    page, _ = page_of(report, tmp_path)
    assert page.all("img") == []
    assert page.text.count("This photo could not be read.") == 2


def test_a_turned_photo_is_shown_upright_as_its_boxes_are(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90°
    Image.new("RGB", (40, 20)).save(tmp_path / "0.jpg", exif=exif)
    truth = annotations((0, CAT, HERE))
    report = short_report(judge_detections(truth, [], lambda i: tmp_path / "0.jpg"))
    page, _ = page_of(report, tmp_path)
    data = page.all("img")[0]["src"].removeprefix("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (20, 40)


def test_many_classes_and_mistakes_stay_within_three_megabytes(
    photos: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(1)
    categories = [{"id": i, "name": f"class number {i}"} for i in range(60)]
    images = [{"id": i, "width": 400, "height": 300} for i in range(200)]

    def boxes(count: int) -> list[tuple[int, int, tuple[float, ...]]]:
        return [
            (i, int(generator.integers(60)), (*generator.uniform(0, 200, 2), 90.0, 90.0))
            for i in range(200)
            for _ in range(count)
        ]

    truth = annotations(*boxes(5)) | {"categories": categories, "images": images}
    rows = [BoxRow(*row, float(generator.random())) for row in boxes(15)]
    report = short_report(judge_detections(truth, rows, lambda i: photos / f"<{i % 6}>.jpg"))
    assert len(report.galleries[0].examples) == MISTAKES
    wrong = [box for box in report.galleries[0].examples[0].boxes if box.role == "wrong"]
    assert len(wrong) == BOXES_OF_A_ROLE
    page, _ = page_of(report, tmp_path)
    assert page.open == []
    assert JPEG_QUALITY == 80
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_a_thousand_classes_are_told_in_a_table(photos: Path, tmp_path: Path) -> None:
    names = [f"class number {i}" for i in range(1000)]
    probabilities = np.full((2, 1000), 0.0005)
    probabilities[:, 3] = 0.5
    paths = [photos / f"<{i}>.jpg" for i in range(2)]
    report = short_report(judge_classifications(names, probabilities, [3, 4], paths))
    page, html = page_of(report, tmp_path)
    assert page.open == []
    assert 'class="heat"' not in html
    assert "class number 999" in page.text
    assert "0.500" in page.text

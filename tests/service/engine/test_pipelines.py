"""Regions and two stages on the shipped models: answers as by hand, and what they cost."""

import asyncio
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageOps

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.imaging.images import decode_photo
from service.imaging.resize import ModelInput, Photo, Placement
from service.inference.deadline import Deadline, RequestPolicy
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import Problem
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ModelState, ServiceState
from tests.packages import CLASSIFIER

DETECTOR = "efficientdet_lite0_voc"
BOXES = [[40.0, 10.0, 260.0, 290.0], [0.0, 0.0, 451.0, 300.0], [300.4, 120.6, 440.2, 250.0]]
STATE = ServiceState([ModelState(name, "1", "", "") for name in (CLASSIFIER, DETECTOR)])


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics(lambda: STATE)


@pytest.fixture(scope="module")
def engine(metrics: Metrics) -> Iterator[Engine]:
    """Of batches of one image, which are answered bit for bit alike whatever is beside them."""
    settings = Settings(
        concurrent_runs=1, watch_seconds=0, max_batch_size=1, max_regions=5, max_request_regions=8
    )
    made = Engine(settings, metrics)
    yield made
    made.close()


Ask = Callable[..., Answer]


@pytest.fixture
def classify(engine: Engine) -> Ask:
    def classify(*contents: Any, seconds: float = 60, **parameters: object) -> Answer:
        policy = RequestPolicy(Deadline.after(seconds))
        asked = ClassifyParameters(**parameters)
        return asyncio.run(engine.answer("classification", contents, asked, policy))

    return classify


@pytest.fixture
def detect(engine: Engine) -> Ask:
    def detect(*contents: Any, **parameters: object) -> Answer:
        policy = RequestPolicy(Deadline.after(60))
        asked = DetectParameters(model=DETECTOR, **parameters)
        return asyncio.run(engine.answer("detection", contents, asked, policy))

    return detect


def cut_by_hand(photo: bytes, box: tuple[int, int, int, int]) -> bytes:
    buffer = BytesIO()
    upright = ImageOps.exif_transpose(Image.open(BytesIO(photo)).convert("RGB"))
    upright.crop(box).save(buffer, "PNG")
    return buffer.getvalue()


def test_regions_are_answered_as_what_is_cut_out_by_hand(classify: Ask, cat: bytes) -> None:
    (result,) = classify(cat, regions=BOXES, top_k=3).results
    assert (result["width"], result["height"]) == (451, 300)
    assert [region["box"] for region in result["regions"]] == BOXES
    by_hand = [(40, 10, 260, 290), (0, 0, 451, 300), (300, 120, 441, 250)]
    alone = classify(*(cut_by_hand(cat, box) for box in by_hand), top_k=3).results
    assert [region["classifications"] for region in result["regions"]] == [
        one["classifications"] for one in alone
    ]


def test_context_and_warp_change_what_is_seen(classify: Ask, cat: bytes) -> None:
    box = [60.0, 60.0, 160.0, 110.0]
    (padded,) = classify(cat, regions=[box], region_padding=0.5).results
    (by_hand,) = classify(cut_by_hand(cat, (10, 35, 210, 135))).results
    assert padded["regions"][0]["classifications"] == by_hand["classifications"]
    assert padded["regions"][0]["box"] == box
    (plain,) = classify(cat, regions=[box]).results
    (warped,) = classify(cat, regions=[box], region_resize="warp").results
    answers = [one["regions"][0]["classifications"] for one in (plain, padded, warped)]
    assert len({str(answer) for answer in answers}) == 3


def test_regions_lie_in_the_upright_photo(classify: Ask, cat: bytes) -> None:
    turned, exif = BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.open(BytesIO(cat)).save(turned, "PNG", exif=exif)
    box = [20.0, 200.0, 280.0, 440.0]
    (result,) = classify(turned.getvalue(), regions=[box]).results
    assert (result["width"], result["height"]) == (300, 451)
    (by_hand,) = classify(cut_by_hand(turned.getvalue(), (20, 200, 280, 440))).results
    assert result["regions"][0]["classifications"] == by_hand["classifications"]


def test_a_large_jpeg_is_cut_at_its_full_size(classify: Ask, cat: bytes) -> None:
    large = BytesIO()
    Image.open(BytesIO(cat)).resize((1804, 1200)).save(large, "JPEG")
    (result,) = classify(large.getvalue(), regions=[[400, 100, 560, 260]]).results
    (by_hand,) = classify(cut_by_hand(large.getvalue(), (400, 100, 560, 260))).results
    assert result["regions"][0]["classifications"] == by_hand["classifications"]


def test_a_photo_is_decoded_once(
    classify: Ask, detect: Ask, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def decode(content: bytes, *rest: Any) -> Photo:
        decoded.append(len(content))
        return decode_photo(content, *rest)

    monkeypatch.setattr("service.inference.photos.decode_photo", decode)
    monkeypatch.delattr("service.inference.decoder.decode_input")
    classify(cat, regions=BOXES)
    detect(cat, then=CLASSIFIER)
    assert decoded == [len(cat)] * 2


def test_detections_carry_the_classes_of_their_boxes(
    classify: Ask, detect: Ask, cat: bytes, engine: Engine
) -> None:
    answer = detect(cat, then=CLASSIFIER, top_k=2, score_threshold=0.1, region_padding=0.1)
    (result,) = answer.results
    (plain,) = detect(cat, score_threshold=0.1).results
    assert answer.then.name == CLASSIFIER
    assert result["detections"]
    boxes = [one["box"] for one in result["detections"]]
    classes = [one.pop("classifications") for one in result["detections"]]
    assert result == plain
    (regions,) = classify(cat, regions=boxes, top_k=2, region_padding=0.1).results
    assert classes == [one["classifications"] for one in regions["regions"]]
    assert {len(rows) for rows in classes} == {2}


def test_nothing_found_has_nothing_to_classify(detect: Ask, cat: bytes) -> None:
    (result,) = detect(cat, then=CLASSIFIER, score_threshold=1.0).results
    assert result["detections"] == []


def test_a_bad_image_costs_the_others_nothing(classify: Ask, detect: Ask, cat: bytes) -> None:
    bad, good = classify(cat[:3000], cat, regions=BOXES[:2]).results
    assert (bad.code, len(good["regions"])) == ("invalid_image", 2)
    small = cut_by_hand(cat, (0, 0, 200, 200))
    outside, inside = classify(small, cat, regions=BOXES[2:]).results
    assert (outside.code, len(inside["regions"])) == ("region_outside", 1)
    bad, good = detect(b"", cat, then=CLASSIFIER).results
    assert (bad.code, good["detections"][0].keys() >= {"classifications"}) == ("empty_image", True)


@pytest.mark.parametrize(
    ("images", "regions", "told"),
    [
        (1, 6, "6 regions; at most 5 an image"),
        (2, 5, "10 regions of 2 images; at most 8 a request"),
    ],
)
def test_too_many_regions_are_refused_whole(
    classify: Ask, engine: Engine, cat: bytes, images: int, regions: int, told: str
) -> None:
    with pytest.raises(Problem, match=told) as caught:
        classify(*[cat] * images, regions=BOXES[:1] * regions)
    assert caught.value.code == "too_many_regions"
    assert engine.admission.images == 0


def test_a_region_may_be_of_one_image_alone(classify: Ask, cat: bytes) -> None:
    turned = BytesIO()
    Image.open(BytesIO(cat)).transpose(Image.Transpose.ROTATE_180).save(turned, "PNG")
    contents = [cat, turned.getvalue(), cat]
    first, second, third = classify(
        *contents, regions=[[1, *BOXES[0]], BOXES[2], [0, *BOXES[1]]], top_k=2
    ).results
    boxes = [[region["box"] for region in one["regions"]] for one in (first, second, third)]
    assert boxes == [[BOXES[2], BOXES[1]], [BOXES[0], BOXES[2]], [BOXES[2]]]
    (alone,) = classify(contents[1], regions=[BOXES[0]], top_k=2).results
    assert second["regions"][0] == alone["regions"][0]
    of_one, of_none = classify(cat, cat, regions=[[0, *BOXES[0]]]).results
    assert (len(of_one["regions"]), of_none["regions"]) == (1, [])
    with pytest.raises(Problem, match="there is no image 2; there are 2") as caught:
        classify(cat, cat, regions=[[2, *BOXES[0]]])
    assert caught.value.code == "invalid_parameter"


def test_as_many_detections_as_regions_are_classified(detect: Ask, cat: bytes) -> None:
    (all_found,) = detect(cat, score_threshold=0.01).results
    (classified,) = detect(cat, score_threshold=0.01, then=CLASSIFIER).results
    assert len(all_found["detections"]) > len(classified["detections"]) == 5
    with pytest.raises(Problem, match="max_detections = 6 with then; at most 5 an image"):
        detect(cat, max_detections=6, then=CLASSIFIER)


@pytest.mark.parametrize(
    ("then", "code"), [(DETECTOR, "wrong_task"), ("nobody", "model_not_found")]
)
def test_what_cannot_classify_is_refused(detect: Ask, cat: bytes, then: str, code: str) -> None:
    with pytest.raises(Problem) as caught:
        detect(cat, then=then)
    assert caught.value.code == code


def test_a_graphs_input_has_no_regions(classify: Ask, image: ModelInput) -> None:
    (result,) = classify(image, regions=BOXES).results
    assert result.code == "invalid_parameter"
    assert image.placement == Placement(224, 224, 1.0, 1.0)


def test_each_region_counts_as_an_image_of_its_classifier(
    classify: Ask, detect: Ask, cat: bytes, metrics: Metrics
) -> None:
    def counted() -> dict[str, float]:
        families = {family.name: family for family in metrics.collect()}
        return {
            sample.labels["model"]: sample.value
            for sample in families["boxport_images"].samples
            if sample.labels["outcome"] == "ok" and sample.name == "boxport_images_total"
        }

    before = counted()
    classify(cat, regions=BOXES)
    (result,) = detect(cat, then=CLASSIFIER).results
    after = counted()
    assert after[CLASSIFIER] - before[CLASSIFIER] == 3 + len(result["detections"])
    assert after[DETECTOR] - before[DETECTOR] == 1


def test_time_is_that_of_both_models(detect: Ask, cat: bytes) -> None:
    answer = detect(cat, then=CLASSIFIER)
    (times,) = answer.times
    assert list(times.stages) == ["decode", "queue", "inference"]
    assert sum(times.stages.values()) <= answer.total
    assert answer.seconds["inference"] > detect(cat).seconds["inference"] / 2


def test_regions_count_while_they_are_in_service(
    engine: Engine, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    model = engine.repository.find(CLASSIFIER).model
    run = model.predictor.run

    def spy(images: list, queries: list, **how: bool) -> list:
        seen.append((engine.admission.images, engine.admission.decoding))
        return run(images, queries, **how)

    monkeypatch.setattr(model.predictor, "run", spy)

    async def ask() -> None:
        policy = RequestPolicy(Deadline.after(60))
        asked = ClassifyParameters(regions=BOXES)
        await engine.answer("classification", [cat, cat], asked, policy)

    asyncio.run(ask())
    assert {images for images, _ in seen} == {6}
    assert seen[-1][1] == 0, "a photo is not kept once it is cut"
    assert (engine.admission.images, engine.admission.decoding) == (0, 0)


def test_late_regions_are_not_run(classify: Ask, engine: Engine, cat: bytes) -> None:
    (late,) = classify(cat, regions=BOXES, seconds=-1).results
    assert late.code == "deadline_exceeded"
    assert (engine.admission.images, engine.admission.decoding) == (0, 0)


def test_a_request_that_is_given_up_frees_what_it_held(engine: Engine, cat: bytes) -> None:
    async def scenario() -> None:
        policy = RequestPolicy(Deadline.after(60))
        asked = DetectParameters(then=CLASSIFIER)
        task = asyncio.create_task(engine.answer("detection", [cat] * 4, asked, policy))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.admission.images == 0
        assert all(entry.users == 0 for entry in engine.repository.versions)
        ends = time.monotonic() + 10
        while engine.admission.decoding or engine.admission.bytes:
            assert time.monotonic() < ends, (engine.admission.decoding, engine.admission.bytes)
            await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_regions_of_all_photos_are_batched_together(store: Path, cat: bytes) -> None:
    sizes: list[int] = []
    metrics = Metrics(lambda: STATE)
    metrics.batch = lambda model, size: sizes.append(size)
    engine = Engine(Settings(concurrent_runs=1, watch_seconds=0, max_batch_size=4), metrics)

    async def ask() -> None:
        policy = RequestPolicy(Deadline.after(60))
        asked = ClassifyParameters(regions=BOXES[:1] * 4)
        await engine.answer("classification", [cat, cat], asked, policy)

    asyncio.run(ask())
    engine.close()
    assert sum(sizes) == 8
    assert max(sizes) == 4


@pytest.mark.parametrize(
    ("image_format", "options"), [("WEBP", {"lossless": True}), ("JPEG", {"progressive": True})]
)
def test_what_is_decoded_apart_has_regions_too(
    classify: Ask, detect: Ask, cat: bytes, image_format: str, options: dict[str, bool]
) -> None:
    file = BytesIO()
    Image.open(BytesIO(cat)).save(file, image_format, **options)
    (result,) = classify(file.getvalue(), regions=BOXES[:1]).results
    (by_hand,) = classify(cut_by_hand(file.getvalue(), (40, 10, 260, 290))).results
    assert result["regions"][0]["classifications"] == by_hand["classifications"]
    (result,) = detect(file.getvalue(), then=CLASSIFIER).results
    assert result["detections"][0]["classifications"]

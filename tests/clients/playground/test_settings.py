"""What the sliders, the switch, the labels and the chooser do; and what is asked for it."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route

from tests.clients.playground.bench import Bench
from tests.clients.playground.test_boxes import asked


@pytest.fixture
def astronaut(bench: Bench, photos: Path) -> Bench:
    """A photo with many uncertain objects on the bench."""
    bench.choose(photos / "astronaut.jpg")
    return bench


def as_rows(detections: list[dict]) -> list[tuple[str, str]]:
    return [(one["label"], f"{round(one['score'] * 100)}%") for one in detections]


def test_the_score_moves_without_a_question(astronaut: Bench, photos: Path) -> None:
    drawn = []
    for threshold in (0.05, 0.1, 0.2, 0.5, 0.95):
        astronaut.slide("score", threshold)
        expected = asked(astronaut, photos / "astronaut.jpg", score_threshold=threshold)
        assert astronaut.rows() == as_rows(expected)
        assert astronaut.text("#score-value") == f"{threshold:.2f}"
        drawn.append(int((astronaut.pixels("boxes")[..., 3] > 0).sum()))
    assert "Nothing scores above 0.95" in astronaut.text("#results-hint")
    assert drawn == sorted(drawn, reverse=True)
    assert drawn[-1] == 0 < drawn[-2]
    assert astronaut.has_asked_once()


def test_the_maximum_moves_without_a_question(astronaut: Bench, photos: Path) -> None:
    astronaut.slide("score", 0.1)
    astronaut.slide("most", 4)
    expected = asked(astronaut, photos / "astronaut.jpg", score_threshold=0.1, max_detections=4)
    assert astronaut.rows() == as_rows(expected)
    assert astronaut.has_asked_once()


def test_the_overlap_asks_again_once_the_hand_is_still(astronaut: Bench, photos: Path) -> None:
    astronaut.slide("score", 0.1)

    def move() -> None:
        for value in (0.45, 0.4, 0.3, 0.2):
            astronaut.slide("iou", value)

    astronaut.answered(move)
    assert [one["iou_threshold"] for one in astronaut.questions] == [["0.5"], ["0.2"]]
    expected = asked(astronaut, photos / "astronaut.jpg", score_threshold=0.1, iou_threshold=0.2)
    assert astronaut.rows() == as_rows(expected)


def test_one_box_per_object_asks_again(astronaut: Bench, photos: Path) -> None:
    astronaut.slide("score", 0.1)
    astronaut.answered(lambda: astronaut.page.check("#agnostic"))
    expected = asked(astronaut, photos / "astronaut.jpg", score_threshold=0.1, class_agnostic=True)
    assert astronaut.rows() == as_rows(expected)
    assert astronaut.questions[-1]["class_agnostic"] == ["true"]


def test_a_second_model_says_what_is_in_each_box(astronaut: Bench, photos: Path) -> None:
    then = "efficientnet_lite0_imagenet/1"
    astronaut.answered(lambda: astronaut.page.select_option("#then", then))
    expected = asked(astronaut, photos / "astronaut.jpg", then=then, top_k=1)
    best = [one["classifications"][0] for one in expected]
    assert astronaut.rows() == [
        (f"{one['label']}: {of['label']}", f"{round(of['score'] * 100)}%")
        for one, of in zip(expected, best, strict=True)
    ]
    between = round((expected[0]["score"] + expected[1]["score"]) / 2, 2)
    astronaut.answered(lambda: astronaut.slide("score", between))
    assert len(astronaut.rows()) == 1
    question = astronaut.questions[-1]
    assert (question["then"], question["score_threshold"]) == ([then], [str(between)])
    astronaut.answered(lambda: astronaut.page.click("#reset"))
    assert "then" not in astronaut.questions[-1]
    assert ":" not in astronaut.rows()[0][0]


def test_labels_narrow_the_list_without_a_question(astronaut: Bench, photos: Path) -> None:
    astronaut.slide("score", 0.1)
    for label in ("bottle", "bicycle"):
        astronaut.page.click(f"#labels [data-label={label}]")
    expected = asked(
        astronaut, photos / "astronaut.jpg", score_threshold=0.1, labels=["bottle", "bicycle"]
    )
    assert astronaut.rows() == as_rows(expected)
    assert astronaut.has_asked_once()
    pressed = astronaut.page.locator("#labels [aria-pressed=true]").all_inner_texts()
    assert len(pressed) == 2
    astronaut.page.click("#labels [data-label=bottle]")
    assert {label for label, _ in astronaut.rows()} == {"bicycle"}


def test_reset_takes_the_models_own_settings_back(astronaut: Bench) -> None:
    before = astronaut.rows()
    astronaut.slide("score", 0.1)
    astronaut.page.click("#labels [data-label=bottle]")
    astronaut.answered(lambda: astronaut.slide("iou", 0.9))
    astronaut.answered(lambda: astronaut.page.click("#reset"))
    assert astronaut.rows() == before
    assert astronaut.questions[-1]["iou_threshold"] == ["0.5"]


def test_another_detector_is_asked(astronaut: Bench, photos: Path) -> None:
    model = "retinanet_lite0_voc"
    astronaut.answered(lambda: astronaut.page.select_option("#model", f"{model}/1"))
    assert astronaut.rows() == as_rows(asked(astronaut, photos / "astronaut.jpg", model=model))
    assert "32.8%" in astronaut.text("#model-facts")


def test_a_classifier_gives_bars(bench: Bench, photos: Path) -> None:
    bench.page.select_option("#model", "efficientnet_lite0_imagenet/1")
    assert bench.page.locator("#detect-controls").is_hidden()
    bench.choose(photos / "coffee.jpg")
    reply = httpx.post(
        f"{bench.url}/v1/classify?top_k=5",
        content=(photos / "coffee.jpg").read_bytes(),
        headers={"content-type": "image/jpeg"},
    )
    expected = reply.json()["results"][0]["classifications"]
    assert bench.rows() == as_rows(expected)
    assert bench.text("#results-title") == "Most likely"
    widths = [
        bar.evaluate("(bar) => bar.getBoundingClientRect().width / bar.parentElement.clientWidth")
        for bar in bench.page.locator("#rows .meter span").all()
    ]
    assert widths == pytest.approx([one["score"] for one in expected], abs=0.01)
    assert not bench.pixels("boxes")[..., 3].any()
    bench.slide("top", 12)
    assert len(bench.rows()) == 12
    assert bench.has_asked_once()


def test_a_question_gives_up_the_one_before(bench: Bench, photos: Path) -> None:
    """The second photo's answer stays, though the first one's would come later."""
    waiting: list = []

    def keep_the_first(route: Route) -> None:
        if waiting:
            route.continue_()
        else:
            waiting.append(route)

    bench.page.route("**/v1/detect*", keep_the_first)
    with bench.page.expect_request("**/v1/detect*"):
        bench.page.set_input_files("#file", photos / "astronaut.jpg")
    with bench.page.expect_event("requestfailed"):  # which may come after the next answer
        bench.answered(lambda: bench.page.set_input_files("#file", photos / "cat.jpg"))
    bench.page.unroute("**/v1/detect*")
    failed = [one for one in bench.requests if one.failure]
    assert [one.failure for one in failed] == ["net::ERR_ABORTED"]
    assert bench.rows() == [("cat", "97%")]


def test_the_time_is_the_services(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "cat.jpg")
    timing = bench.answer()["timing_ms"]
    shown = bench.text("#timing-total")
    assert float(shown.removesuffix(" ms")) == pytest.approx(timing["total"], abs=0.6)
    stages = bench.page.locator("#timing-stages li").all_inner_texts()
    assert [stage.split()[0] for stage in stages] == ["Decode", "Queue", "Inference", "Network"]

"""`python -m service rollout`: what is asked for, and what is shown."""

import argparse

import pytest

from service.http.openapi.examples import ROLLOUT
from service.rollout.command import RolloutError, add_arguments, lines_of, order_of, run
from service.rollout.plan import Canary


def parse(text: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(text.split())


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("--shadow 0.1", ("shadow", {"share": 0.1})),
        ("--canary 0.05", ("canary", {"share": 0.05})),
        (
            "--canary 0.05 0.25 1 --step-seconds 60 --sticky X-User --compare 0.2",
            (
                "canary",
                {
                    "schedule": [0.05, 0.25, 1.0],
                    "step_seconds": 60.0,
                    "sticky": "header X-User",
                    "compare": 0.2,
                },
            ),
        ),
        (
            "--canary 1 --errors 0 --p99-ratio 3 --p99-ms 90 --disagreement 0.2 --min-samples 5",
            (
                "canary",
                {
                    "share": 1.0,
                    "guard": {
                        "errors": 0.0,
                        "p99_ratio": 3.0,
                        "p99_ms": 90.0,
                        "disagreement": 0.2,
                        "min_samples": 5,
                    },
                },
            ),
        ),
    ],
)
def test_what_is_asked_for(text: str, order: tuple[str, dict]) -> None:
    found = order_of(parse(f"start pets/2 {text}"))
    assert found == order
    if found[0] == "canary":
        Canary.model_validate(found[1])


def test_a_report_is_shown_in_lines() -> None:
    assert lines_of(ROLLOUT) == [
        "efficientdet_lite0_voc/2: canary, running at 5.0%",
        "  agreement         0.9831  (0.9740 to 0.9891)",
        "  label changes     0.0017  (0.0005 to 0.0061)",
        "  score difference  0.0112  (0.0105 to 0.0119)",
        "  photos compared   1184, dropped 3, failed 0",
        "  candidate         version 2, 402 requests, 0.00% failed, p50 24.5 ms, p99 41.2 ms,"
        " inference 17.3 ms, 148 MB",
        "  baseline          version 1, 7623 requests, 0.00% failed, p50 33.3 ms, p99 60.5 ms,"
        " inference 27.6 ms, 49 MB",
    ]


def test_one_that_went_back_says_why() -> None:
    over = {**ROLLOUT, "phase": "taken_back", "reason": "5 of 5 requests failed"}
    assert lines_of(over)[:2] == [
        "efficientdet_lite0_voc/2: canary, taken_back",
        "  because 5 of 5 requests failed",
    ]


@pytest.mark.parametrize("text", ["status pets/2 --url http://127.0.0.1:9", "abort pets"])
def test_what_cannot_be_asked(text: str) -> None:
    with pytest.raises(RolloutError):
        run(parse(text))

"""Bounds and rates are the service's, however many workers it has."""

import time

import pytest

from service.access.rates import Rate, Rates
from service.engine.admission import Admission
from service.inference.deadline import Priority
from service.problems import Problem
from service.scoreboard import Scoreboard
from tests.service.scoreboards import scoreboards

SOON = Priority.INTERACTIVE


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Scoreboard]:
    return scoreboards(4, monkeypatch)


def test_images_bodies_and_decoding_are_bounded_together(boards: list[Scoreboard]) -> None:
    one, other, *_ = (Admission(8, 1000, 10_000, board) for board in boards)
    with one.hold_images(5, SOON), other.hold_images(3, SOON):
        assert (one.images, other.images, one.own_images) == (8, 8, 5)
        with pytest.raises(Problem, match="8 images are in service"):
            other.check(SOON)
        with pytest.raises(Problem), one.hold_images(1, SOON):
            pass
    with one.hold_bytes() as first, other.hold_bytes() as second:
        first.add(600)
        with pytest.raises(Problem, match="at most 1000"):
            second.add(401)
    with one.hold_memory(6000), pytest.raises(Problem), other.hold_memory(4001):
        pass
    assert (one.images, one.bytes, one.decoding) == (0, 0, 0)


def test_what_one_held_that_has_died_is_free(boards: list[Scoreboard]) -> None:
    one, other, *_ = (Admission(8, 1000, 10_000, board) for board in boards)
    held = one.hold_images(8, SOON)
    held.__enter__()
    with pytest.raises(Problem):
        other.check(SOON)
    boards[1].clear(boards[0].own)
    other.check(SOON)


def test_a_rate_holds_over_all_workers(boards: list[Scoreboard]) -> None:
    now = 1000.0
    workers = [Rates(board, clock=lambda: now) for board in boards]
    rate, passed = Rate(50.0, 50), 0
    for turn in range(4000):  # 400 a second over ten seconds
        now += 0.0025
        passed += workers[turn % 4].take("caller", rate) == 0.0
    assert passed == pytest.approx(50 * 10 + 50, abs=1)


def test_other_names_have_other_buckets(boards: list[Scoreboard]) -> None:
    keys, addresses = Rates(boards[0], "keys"), Rates(boards[1], "addresses")
    rate, began = Rate(0.001, 1), time.monotonic()
    assert [keys.take("a", rate), addresses.take("a", rate)] == [0.0, 0.0]
    assert Rates(boards[2], "keys").take("a", rate) > 900 - (time.monotonic() - began)

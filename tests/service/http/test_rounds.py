"""Every connection is looked at in time, and few at once."""

import asyncio
from collections import Counter
from typing import ClassVar

import pytest

from service.http import rounds
from service.http.rounds import STEPS, Rounds


class Clock(asyncio.SelectorEventLoop):
    """A loop whose timers are called by the test, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list = []

    def call_later(self, delay: float, callback, *args, context=None):  # type: ignore[override]
        self.timers.append((delay, callback))

    def step(self) -> float:
        delay, callback = self.timers.pop(0)
        callback()
        return delay


class Seen:
    looks: ClassVar[Counter] = Counter()

    def look(self) -> None:
        self.looks[self] += 1


@pytest.fixture
def clock():
    clock = Clock()
    yield clock
    clock.close()


def test_each_is_looked_at_once_a_round_and_few_at_a_time(clock: Clock) -> None:
    Seen.looks = Counter()
    several = [Seen() for _ in range(100 * STEPS)]
    for one in several:
        Rounds.of(clock).add(one)
    assert len(clock.timers) == 1, "one timer for all"
    took = 0.0
    for step in range(STEPS):
        took += clock.step()
        assert Seen.looks.total() == 100 * (step + 1)
    assert took == pytest.approx(rounds.LOOK_SECONDS)
    assert set(Seen.looks.values()) == {1}


def test_who_has_gone_is_not_looked_at_and_the_last_ends_the_timer(clock: Clock) -> None:
    Seen.looks = Counter()
    own, gone = Rounds.of(clock), Seen()
    own.add(gone)
    own.remove(gone)
    clock.step()
    assert not Seen.looks
    assert not clock.timers
    own.add(Seen())
    clock.step()
    assert Seen.looks.total() == len(clock.timers) == 1


def test_a_look_may_end_other_connections(clock: Clock) -> None:
    own = Rounds.of(clock)

    class Ends(Seen):
        def look(self) -> None:
            for one in both:
                own.remove(one)

    both = [Ends() for _ in range(2 * STEPS)]
    for one in both:
        own.add(one)
    clock.step()
    assert not clock.timers

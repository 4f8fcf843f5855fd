"""Token buckets: never more than was promised, never less than was told."""

import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from service.access.rates import BUCKET, Rate, Rates, address_name


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def takes(rates: Rates, name: str, rate: Rate, times: int) -> int:
    return sum(rates.take(name, rate) == 0.0 for _ in range(times))


def test_burst_passes_at_once_and_then_the_rate(clock: Clock) -> None:
    rates, rate = Rates(clock=clock), Rate(2.0, 3)
    assert [rates.take("a", rate) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.25
    assert rates.take("a", rate) == 0.25
    clock.now += 0.25
    assert takes(rates, "a", rate, 5) == 1


def test_a_pause_saves_up_no_more_than_the_burst(clock: Clock) -> None:
    rates, rate = Rates(clock=clock), Rate(2.0, 3)
    takes(rates, "a", rate, 3)
    clock.now += 3600
    assert takes(rates, "a", rate, 10) == 3


def test_refused_requests_cost_nothing(clock: Clock) -> None:
    rates, rate = Rates(clock=clock), Rate(1.0, 1)
    takes(rates, "a", rate, 1000)
    clock.now += 1
    assert rates.take("a", rate) == 0.0


def test_callers_do_not_share_a_bucket(clock: Clock) -> None:
    rates, rate = Rates(clock=clock), Rate(1.0, 2)
    assert takes(rates, "a", rate, 5) == 2
    assert takes(rates, "b", rate, 5) == 2


@pytest.mark.parametrize("seed", range(20))
def test_never_more_than_rate_times_t_and_burst(clock: Clock, seed: int) -> None:
    """In each window, not only from the start."""
    chance = random.Random(seed)
    rate = Rate(chance.choice([0.1, 0.7, 3.0, 9.9, 1000.0]), chance.randint(1, 20))
    rates, passed = Rates(clock=clock), []
    for _ in range(400):
        clock.now += chance.choice([0, 0, chance.expovariate(rate.per_second * 2)])
        if rates.take("a", rate) == 0.0:
            passed.append(clock.now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            allowed = rate.per_second * (passed[last] - start) + rate.burst
            assert last - first + 1 <= allowed + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_who_waits_as_long_as_told_may_ask(clock: Clock, seed: int) -> None:
    chance = random.Random(seed)
    rates, rate = Rates(clock=clock), Rate(chance.uniform(0.01, 5000), chance.randint(1, 5))
    for _ in range(500):
        wait = rates.take("a", rate)
        clock.now += wait
        assert wait == 0.0 or rates.take("a", rate) == 0.0


def test_changed_rate_holds_at_once(clock: Clock) -> None:
    rates = Rates(clock=clock)
    assert takes(rates, "a", Rate(1.0, 10), 5) == 5
    assert takes(rates, "a", Rate(1.0, 2), 5) == 2
    clock.now += 1
    assert takes(rates, "a", Rate(100.0, 50), 99) == 50


def test_only_the_longest_unseen_callers_are_forgotten(clock: Clock) -> None:
    rates, rate = Rates(max_callers=3, clock=clock), Rate(1.0, 1)
    for name in ("a", "b", "c", "a", "d"):  # d takes the place of b
        clock.now += 0.01
        rates.take(name, rate)
    assert rates.take("a", rate) > 0
    assert rates.take("c", rate) > 0
    assert rates.take("d", rate) > 0
    assert rates.take("b", rate) == 0.0


def test_endless_callers_take_bounded_memory_and_time() -> None:
    rates, rate = Rates(max_callers=100), Rate(1.0, 1)
    began = time.perf_counter()
    for number in range(50_000):
        rates.take(str(number), rate)
    cells = rates._board.common[rates._place : rates._place + BUCKET * 1000]
    assert 90 < sum(1 for caller in cells[::BUCKET] if caller) <= 100
    assert time.perf_counter() - began < 5  # 0.1 s alone; a bucket search would take minutes


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns every microsecond, so that a race is lost here and not in service."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_together_pass_no_more_than_the_burst(clock: Clock, hasty_threads: None) -> None:
    rates, rate, start = Rates(clock=clock), Rate(1.0, 40_000), Barrier(8)

    def ask() -> int:
        start.wait()
        return takes(rates, "a", rate, 10_000)

    with ThreadPoolExecutor(8) as threads:
        passed = [future.result() for future in [threads.submit(ask) for _ in range(8)]]
    assert sum(passed) == 40_000


def test_real_clock() -> None:
    rates, rate = Rates(), Rate(20.0, 1)
    assert rates.take("a", rate) == 0.0
    wait = rates.take("a", rate)
    assert 0 < wait <= 0.05
    time.sleep(wait)
    assert rates.take("a", rate) == 0.0


@pytest.mark.parametrize(("per_second", "burst"), [(0.2, 1), (1.0, 1), (7.5, 8)])
def test_burst_is_a_second_unless_given(per_second: float, burst: int) -> None:
    assert Rate.of(per_second) == Rate(per_second, burst)
    assert Rate.of(per_second, 99) == Rate(per_second, 99)


@pytest.mark.parametrize(
    ("per_second", "burst"),
    [(0.0, 1), (-1.0, 1), (1e-320, 1), (float("nan"), 1), (float("inf"), 1), (1.0, 0)],
)
def test_rates_that_mean_nothing_are_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Rate(per_second, burst)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_address_name(host: str, name: str) -> None:
    assert address_name(host) == name

"""The queue, against what theory says of it."""

import numpy as np
import pytest

from benchmarks.capacity import MAX_UTILISATION, Machine, p99, plan, simulate


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_one_processor_and_equal_photos_wait_as_pollaczek_and_khinchine_say(
    busy: float,
) -> None:
    """M/D/1: the mean wait is s * busy / (2 * (1 - busy))."""
    latencies = simulate(Machine(1, [0.01]), 1, busy / 0.01, photos=200_000)
    assert latencies.mean() - 0.01 == pytest.approx(0.01 * busy / (2 * (1 - busy)), rel=0.05)


def test_two_processors_wait_as_erlang_says() -> None:
    """M/M/2 at 70 %: the mean wait is C(2, 1.4) * s / (2 - 1.4), where Erlang's C is .5765."""
    photos = np.random.default_rng(1).exponential(0.01, 100_000)
    latencies = simulate(Machine(2, photos), 1, 140, photos=200_000)
    wait = latencies.mean() - photos.mean()
    assert wait == pytest.approx(0.5765 * 0.01 / 0.6, rel=0.06)


def test_the_event_loop_is_a_server_of_its_own() -> None:
    machine = Machine(64, [0.010], loop=0.001)
    assert machine.max_rate == pytest.approx(1000)
    assert simulate(machine, 1, 900).mean() > 0.011 + 0.003
    assert p99(Machine(2, [0.010], loop=0.001), 1, 1) == pytest.approx(0.011, abs=1e-4)


def test_one_machine_of_many_processors_waits_less_than_many_of_one() -> None:
    together = simulate(Machine(4, [0.01]), 1, 340).mean()
    apart = simulate(Machine(1, [0.01]), 4, 340).mean()
    assert together < apart < 2 * together, "fewest in service first is nearly one queue"


@pytest.mark.parametrize("rate", [10, 1000, 20_000])
def test_a_plan_holds_with_one_machine_gone(rate: float) -> None:
    machine = Machine(2, [0.012, 0.014])
    found = plan(machine, rate, 0.1, photos=10_000)
    assert found.p99 <= 0.1
    left = found.machines - 1
    assert left * machine.max_rate * MAX_UTILISATION >= rate
    assert found.utilisation == pytest.approx(rate / (found.machines * machine.max_rate))
    assert found.machines <= 2 + 1.02 * rate / (machine.max_rate * MAX_UTILISATION)
    assert found.cost_per_million(0.36) == pytest.approx(found.machines * 0.36 / 3600 / rate * 1e6)


def test_what_no_number_of_machines_can_do_is_said() -> None:
    with pytest.raises(ValueError, match="a single one takes longer"):
        plan(Machine(2, [0.05]), 10, 0.04, photos=2000)

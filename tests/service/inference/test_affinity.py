"""CorePool: threads on processors of their own, as the system itself says of them."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from service.cpus import own_processors
from service.inference.affinity import CoreLocks, CorePool

MINE = own_processors()
NOWHERE = 10_000  # no machine has so many processors

pytestmark = pytest.mark.skipif(not MINE, reason="this system binds no threads to processors")


def here() -> frozenset[int]:
    """Where the calling thread may run."""
    return frozenset(os.sched_getaffinity(0))


def pinned(cores: CorePool) -> frozenset[int]:
    with cores.hold():
        return here()


def unpinned(cores: CorePool) -> frozenset[int]:
    with cores.hold(pin=False):
        return here()


@contextmanager
def a_thread() -> Iterator[Callable]:
    """Calls a function on a thread of its own, always the same one."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda function, *args: pool.submit(function, *args).result(10)


def test_threads_that_run_at_once_have_a_processor_each() -> None:
    cores = CorePool(MINE)
    together = threading.Barrier(len(MINE))

    def run() -> frozenset[int]:
        with cores.hold():
            together.wait(10)
            return here()

    with ThreadPoolExecutor(len(MINE)) as pool:
        held = [job.result() for job in [pool.submit(run) for _ in MINE]]
    assert all(len(processors) == 1 for processors in held)
    assert frozenset().union(*held) == MINE


def test_who_finds_none_left_goes_where_it_likes() -> None:
    cores = CorePool({min(MINE)})
    with a_thread() as first, a_thread() as second, ExitStack() as held:
        first(held.enter_context, cores.hold())
        assert second(pinned, cores) == MINE
        first(held.close)
        assert second(pinned, cores) == {min(MINE)}


def test_a_thread_has_its_last_one_again() -> None:
    """It is bound to it still, and its caches are warm there."""
    cores = CorePool(MINE)
    with a_thread() as first, a_thread() as second:
        with ExitStack() as held:
            first(held.enter_context, cores.hold())
            last = second(pinned, cores)
            first(held.close)
        assert second(here) == last
        assert second(pinned, cores) == last


def test_without_a_pin_a_thread_goes_where_it_likes() -> None:
    cores = CorePool(MINE)
    with a_thread() as thread:
        thread(pinned, cores)
        assert thread(unpinned, cores) == MINE
        assert thread(here) == MINE


def test_a_run_that_fails_gives_its_processor_back() -> None:
    cores = CorePool({min(MINE)})

    def fail() -> None:
        with cores.hold():
            raise ValueError("of the run")

    with a_thread() as first, a_thread() as second:
        with pytest.raises(ValueError, match="of the run"):
            first(fail)
        assert second(pinned, cores) == {min(MINE)}


@pytest.mark.parametrize("processors", [(), (NOWHERE,)], ids=["none", "one that is not there"])
def test_without_a_processor_to_bind_to_nothing_changes(processors: tuple[int, ...]) -> None:
    cores = CorePool(processors)
    with a_thread() as thread:
        assert thread(pinned, cores) == MINE
        assert thread(unpinned, cores) == MINE


def test_other_threads_stay_as_they_are() -> None:
    with a_thread() as thread:
        thread(pinned, CorePool({min(MINE)}))
        assert here() == MINE


def test_services_of_one_machine_hold_different_processors(tmp_path: Path) -> None:
    one, other = (CorePool({min(MINE)}, CoreLocks(tmp_path / "locks")) for _ in range(2))
    with a_thread() as first, a_thread() as second, ExitStack() as held:
        first(held.enter_context, one.hold())
        assert second(pinned, other) == MINE, "it is left to the scheduler"
        first(held.close)
        assert second(pinned, other) == {min(MINE)}


def test_without_a_folder_for_locks_runs_are_pinned_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cores = CorePool({min(MINE)}, CoreLocks(tmp_path / "file" / "locks"))
    with a_thread() as first:
        assert first(pinned, cores) == {min(MINE)}

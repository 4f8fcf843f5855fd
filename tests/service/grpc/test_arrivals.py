"""How many messages may be on their way, and for how long."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from grpc.aio import EOF

from service.grpc import arrivals
from service.grpc.arrivals import Arrivals, largest_message
from service.inference.deadline import Deadline
from service.problems import Problem
from service.settings import Settings

MIB = 2**20
SOON, LATE = 0.05, 10.0


class Rpc:
    """A call whose message comes once ``come`` says so."""

    def __init__(self, message: Any = b"message") -> None:
        self.message, self.come, self.asked = message, asyncio.Event(), False

    async def read(self) -> Any:
        self.asked = True
        await self.come.wait()
        return self.message


def here(message: Any = b"message") -> Rpc:
    rpc = Rpc(message)
    rpc.come.set()
    return rpc


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "PATIENCE_SECONDS", SOON)


def code_of(done: asyncio.Task[Any]) -> str:
    error = done.exception()
    assert isinstance(error, Problem)
    return error.code


def begin(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


def read(places: Arrivals, rpc: Rpc, seconds: float = LATE) -> asyncio.Task[Any]:
    return begin(places.read(rpc, Deadline.after(seconds)))  # type: ignore[arg-type]


def test_all_that_may_be_on_its_way_is_as_much_as_the_settings_let_in() -> None:
    for most, bodies, workers in (
        (512 * MIB, 64 * MIB, 1),
        (64 * MIB, 64 * MIB, 1),
        (512 * MIB, 4 * MIB, 1),
        (512 * MIB, 64 * MIB, 4),
    ):
        settings = Settings(max_bytes_in_service=most, max_body_bytes=bodies, workers=workers)
        places = Arrivals.of(settings)
        taken = workers * 2 * places._places * largest_message(settings)
        assert most / 2 < taken <= most
        assert largest_message(settings) <= bodies


def test_a_message_is_not_asked_for_before_there_is_a_place() -> None:
    async def scenario() -> None:
        places = Arrivals(1, LATE)
        first, second = Rpc(), here(b"second")
        reads = [read(places, rpc) for rpc in (first, second)]
        await asyncio.sleep(SOON / 5)
        assert (first.asked, second.asked) == (True, False)
        first.come.set()
        assert await asyncio.gather(*reads) == [b"message", b"second"]

    asyncio.run(scenario())


def test_the_slowest_gives_way_to_who_waits() -> None:
    async def scenario() -> None:
        places = Arrivals(2, LATE)
        slow = [read(places, Rpc()) for _ in range(2)]
        await asyncio.sleep(2 * SOON)
        assert not any(one.done() for one in slow)  # nobody waits
        assert await read(places, here()) == b"message"
        assert code_of(slow[0]) == "request_too_slow"
        assert not slow[1].done()
        slow[1].cancel()

    asyncio.run(scenario())


def test_who_has_just_begun_has_its_time() -> None:
    async def scenario() -> None:
        places = Arrivals(1, LATE)
        slow = read(places, Rpc())
        await asyncio.sleep(0)
        waits = read(places, here())
        await asyncio.sleep(SOON / 2)
        assert not slow.done()
        assert await waits == b"message"
        assert code_of(slow) == "request_too_slow"

    asyncio.run(scenario())


def test_hundreds_that_never_come_hold_nobody_up() -> None:
    async def scenario() -> None:
        places = Arrivals(4, LATE)
        slow = [read(places, Rpc()) for _ in range(400)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(read(places, here()), 20 * SOON) == b"message"
        for one in slow:
            one.cancel()
        await asyncio.wait(slow)
        assert await read(places, here()) == b"message"  # every place is given back

    asyncio.run(scenario())


@pytest.mark.parametrize("others", [0, 1])
def test_the_deadline_holds_while_it_waits_and_while_it_comes(others: int) -> None:
    async def scenario() -> None:
        places = Arrivals(1, LATE)
        held = [read(places, Rpc()) for _ in range(others)]
        done = read(places, Rpc(), SOON / 2)
        await asyncio.wait([done])
        assert code_of(done) == "deadline_exceeded"
        for one in held:
            one.cancel()

    asyncio.run(scenario())


def test_the_end_of_a_call_is_no_message() -> None:
    async def scenario() -> None:
        places = Arrivals(1, LATE)
        assert await read(places, here(EOF)) is None
        assert await places.read_stream(here(EOF)) is None  # type: ignore[arg-type]

    asyncio.run(scenario())


def test_streams_have_places_of_their_own() -> None:
    async def scenario() -> None:
        places = Arrivals(1, SOON)
        with places.stream():
            with pytest.raises(Problem, match="1 streams are open"), places.stream():
                pass
            assert await read(places, here()) == b"message"
            with pytest.raises(Problem, match=r"no message for 0\.05 s"):
                await places.read_stream(Rpc())  # type: ignore[arg-type]
        with places.stream():
            pass

    asyncio.run(scenario())

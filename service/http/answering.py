"""From a request to its reply: the way of every question, whatever protocol it comes in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.engine.engine import Engine
from service.fetch.fetcher import UrlFetcher
from service.http.body import read_request
from service.http.exchange import Exchange
from service.http.replies import answer_reply, problem_reply
from service.inference.deadline import Deadline
from service.inference.model import PARAMETERS
from service.manifest import Task
from service.parameters import read_parameters
from service.problems import Problem
from service.settings import Settings
from service.telemetry.logs import logger

Result = TypeVar("Result")

# For so long nobody looks whether a caller is still there: what is answered sooner is not worth it.
UNNOTICED_SECONDS = 0.1


class ClientGone(Exception):
    """The caller has closed the connection: nobody reads what would be replied."""


async def answer(
    task: Task, request: Request, engine: Engine, settings: Settings, fetcher: UrlFetcher | None
) -> Response:
    """The reply to a request to /v1/detect or /v1/classify."""
    exchange = Exchange.of(request.scope)

    async def work() -> Response:
        policy = exchange.policy
        with engine.admission.hold_bytes() as room:
            sent = await within(policy.deadline, read_request(request, settings, room, fetcher))
            exchange.images = len(sent.images)
            exchange.model = sent.model
            parameters = read_parameters(PARAMETERS[task], sent.texts, sent.typed)
            found = await unless_gone(request, engine.answer(task, sent.images, parameters, policy))
        exchange.model = found.manifest.name
        exchange.times = found.times
        return answer_reply(found, exchange)

    return await replied(exchange, work(), refusal)


async def replied(
    exchange: Exchange, work: Awaitable[Response], refuse: Callable[[Exchange, Problem], Response]
) -> Response:
    """The reply that ``work`` gives, or what ``refuse`` makes of its problem."""
    try:
        return await work
    except Problem as problem:
        return refuse(exchange, problem)
    except (ClientGone, ClientDisconnect):
        exchange.reason = "client_gone"
        return Response(status_code=499)
    except Exception:
        logger.exception("request %s failed", exchange.request_id)
        return refuse(exchange, Problem("internal_error", "The service failed."))


async def within(deadline: Deadline, work: Awaitable[Result]) -> Result:
    """The result of ``work``; stops it and raises Problem once ``deadline`` has passed."""
    try:
        async with asyncio.timeout(deadline.remaining):
            return await work
    except TimeoutError:
        raise deadline.problem("the body had come") from None


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result of ``work``, which is cancelled if the caller goes; raises ClientGone then."""
    task = asyncio.current_task()
    assert task is not None  # every request is one
    gone: asyncio.Task[None] | None = None
    left = over = False

    def leave(gone: "asyncio.Task[None]") -> None:
        nonlocal left
        if not (over or gone.cancelled()):
            left = True
            task.cancel()

    def look() -> None:
        nonlocal gone
        gone = asyncio.ensure_future(_until_gone(request))
        gone.add_done_callback(leave)

    looking = asyncio.get_running_loop().call_later(UNNOTICED_SECONDS, look)
    try:
        return await work
    except asyncio.CancelledError:
        if left and not task.uncancel():  # unless somebody else cancelled it too
            raise ClientGone from None
        raise
    finally:
        over = True
        looking.cancel()
        if gone is not None:
            gone.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def refusal(exchange: Exchange, problem: Problem) -> Response:
    exchange.reason = problem.code
    return problem_reply(problem, exchange.request_id)

"""Ray: started here for one job, or a cluster that is there; and the actors on it."""

import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.data

import service
from service.bulk.actor import Actor, Order, Outcome
from service.bulk.faults import BulkError, one_line
from service.bulk.layout import Needs, Node
from service.bulk.photos import Shard
from service.cpus import available_cpus

STORE_BYTES = 256 * 2**20  # of Ray's object store, beside twice the model: rows here are small
TASKS_AHEAD = 2  # shards that an actor has been given: one to answer, one to go on with
CONNECT_SECONDS = 10.0
MOST_BLOCKS = 4096  # of Ray Data, each of which costs the driver some memory
COMPILED = ["__pycache__"]  # is made anew where the code goes
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # of its C++ code, which would write to standard error
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of a change that is none here
}


@contextmanager
def connect(address: str | None, model_bytes: int) -> Iterator[None]:
    """Ray for the length of the block; raises BulkError if there is none at ``address``.

    With None it is started here, with the processors of this process, and stopped at the end.
    Whatever is at the address needs what the service does, but not this code: that travels.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=available_cpus(),
                object_store_memory=STORE_BYTES + 2 * model_bytes,
                include_dashboard=False,
                **quiet,
            )
        else:
            _reach(address)
            code = {"py_modules": [str(Path(service.__file__).parent)], "excludes": COMPILED}
            ray.init(address=address, runtime_env=code, **quiet)
    except BulkError:
        raise
    except Exception as error:  # what Ray raises has no common base, or none at all
        ray.shutdown()
        raise BulkError(f"{address or 'Ray'}: {one_line(error)}") from error
    _hush()
    signal.signal(signal.SIGTERM, _end)  # Ray has set its own
    try:
        yield
    finally:
        ray.shutdown()


def nodes() -> list[Node]:
    """Those that are there now."""
    listed = ray.nodes()  # type: ignore[no-untyped-call]
    found = [node["Resources"] for node in listed if node["Alive"]]
    return [Node(int(has.get("CPU", 0)), has.get("GPU", 0.0)) for has in found]


def room(needs: Needs) -> int:
    """How many actors the nodes that are there have room for."""
    return sum(
        min(
            node.cpus // needs.cpus,
            int(node.gpus / needs.gpus) if needs.gpus else sys.maxsize,
        )
        for node in nodes()
    )


def answer(
    shards: Sequence[Shard], order: Order, needs: Needs, most_actors: int | None
) -> Iterator[Outcome]:
    """The outcome of each shard as it comes, in any order; raises BulkError.

    Actors are as many as there is room for, and more where the cluster grows, up to
    ``most_actors``. A shard whose actor dies is given to another.
    """
    most = min(len(shards), most_actors or len(shards))
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=most,
        initial_size=max(1, min(most, room(needs))),
        max_tasks_in_flight_per_actor=TASKS_AHEAD,
    )
    rows = [{"shard": pickle.dumps(shard)} for shard in shards]
    blocks = min(len(shards), MOST_BLOCKS)
    results = ray.data.from_items(rows, override_num_blocks=blocks).map(
        Actor,  # type: ignore[arg-type]  # Ray makes its instances itself
        fn_constructor_args=(order,),
        compute=pool,
        num_cpus=needs.cpus,
        num_gpus=needs.gpus,
    )
    try:
        for row in results.iter_rows():
            outcome = Outcome(**row)
            if outcome.fault is not None:
                raise BulkError(outcome.fault)
            yield outcome
    except ray.exceptions.RayError as error:
        raise BulkError(f"Ray: {_root(error)}") from error


def _reach(address: str) -> None:
    """Raise BulkError if nothing answers at host:port: Ray would try for a minute."""
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdecimal():  # Ray's own words, such as auto
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise BulkError(f"{address}: no Ray cluster answers there: {one_line(error)}") from error


def _root(error: BaseException) -> str:
    """What was raised first, of the errors that Ray has wrapped around it."""
    while (cause := error.__cause__ or getattr(error, "cause", None)) is not None:
        error = cause
    return f"{type(error).__name__}: {one_line(error)}"


def _hush() -> None:
    """The job has a progress bar of its own, and tells what ends it in one line. Ray's logs stay
    in the folder of its session."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)

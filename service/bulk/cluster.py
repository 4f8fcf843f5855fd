"""Ray, started for one job or as a running cluster, and the actors on it."""

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
from service.bulk.actor import Actor, Outcome, WorkerTask
from service.bulk.errors import BulkError
from service.bulk.layout import Resources
from service.bulk.photos import Shard
from service.cpus import available_cpus
from service.terminal import one_line

STORE_BYTES = 256 * 2**20  # of Ray's object store, beside twice the model: rows are small
TASKS_AHEAD = 2  # shards assigned to an actor: one that it answers, and the next
CONNECT_SECONDS = 10.0
MAX_BLOCKS = 4096  # of Ray Data, each of which costs the driver memory
EXCLUDED = ["__pycache__"]  # from the code that is sent to a cluster
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # of the C++ code, which writes to standard error
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray warns of a change that does not apply here
}


@contextmanager
def connect(address: str | None, model_bytes: int) -> Iterator[None]:
    """Ray during the block; raises BulkError if there is none at ``address``.

    With None, Ray is started here, with the processors of this process, and stopped at the end. A
    cluster needs the service's packages, but not its code, which is sent.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is not None:
        _reach(address)
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
            code = {"py_modules": [str(Path(service.__file__).parent)], "excludes": EXCLUDED}
            ray.init(address=address, runtime_env=code, **quiet)
    except Exception as error:  # Ray's errors have no common base
        ray.shutdown()
        raise BulkError(f"{address or 'Ray'}: {one_line(error)}") from error
    _silence()
    signal.signal(signal.SIGTERM, _end)  # in place of Ray's handler
    try:
        yield
    finally:
        ray.shutdown()


def nodes() -> list[Resources]:
    """The nodes that are alive."""
    listed = ray.nodes()  # type: ignore[no-untyped-call]
    found = [node["Resources"] for node in listed if node["Alive"]]
    return [Resources(int(has.get("CPU", 0)), has.get("GPU", 0.0)) for has in found]


def room(resources: Resources) -> int:
    """How many actors fit on the nodes that are alive."""
    return sum(
        min(
            node.cpus // resources.cpus,
            int(node.gpus / resources.gpus) if resources.gpus else sys.maxsize,
        )
        for node in nodes()
    )


def answer(
    shards: Sequence[Shard], task: WorkerTask, resources: Resources, max_actors: int | None
) -> Iterator[Outcome]:
    """The outcome of each shard, in order of completion; raises BulkError.

    There are as many actors as fit, and more if the cluster grows, up to ``max_actors``. A shard
    whose actor dies is given to another.
    """
    size = min(len(shards), max_actors or len(shards))
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=size,
        initial_size=max(1, min(size, room(resources))),
        max_tasks_in_flight_per_actor=TASKS_AHEAD,
    )
    rows = [{"shard": pickle.dumps(shard)} for shard in shards]
    blocks = min(len(shards), MAX_BLOCKS)
    results = ray.data.from_items(rows, override_num_blocks=blocks).map(
        Actor,  # type: ignore[arg-type]  # Ray makes its instances itself
        fn_constructor_args=(task,),
        compute=pool,
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
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
    """Raise BulkError if nothing listens at host:port: Ray would try for a minute."""
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdecimal():  # Ray's own forms, such as auto
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise BulkError(f"{address}: no Ray cluster answers there: {one_line(error)}") from error


def _root(error: BaseException) -> str:
    """The first error, without those that Ray has wrapped around it."""
    while (cause := error.__cause__ or getattr(error, "cause", None)) is not None:
        error = cause
    return f"{type(error).__name__}: {one_line(error)}"


def _silence() -> None:
    """Silence Ray Data: the job has its own progress bar and errors of one line. Ray's logs stay in
    the folder of its session."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)

"""Runs bulk jobs as commands, and reads their results."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow.dataset as ds

from tests.paths import ROOT

STARTS = 4


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "service.bulk", *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process, without variables of the service and Ray."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BOXPORT_", "RAY_"))}
    return {**clean, **variables}


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=1200,
    )


def rows_of(folder: Path | str, **options: Any) -> list[dict[str, Any]]:
    """The results, read as a Parquet dataset."""
    rows: list[dict[str, Any]] = (
        ds.dataset(folder, format="parquet", **options).to_table().to_pylist()
    )
    return rows


def write_half(file: IO[bytes]) -> None:
    """Fail in the middle of a file."""
    file.write(b"half")
    raise ZeroDivisionError


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with a processor each, both of them processes of this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # Ray takes a second to import

    running = Cluster()
    try:
        _add_node(running, include_dashboard=False, dashboard_agent_listen_port=0)
        _add_node(running)
        yield running
    finally:
        running.shutdown()


def _add_node(cluster: Any, **options: Any) -> None:
    """A node gives its agent 15 seconds to start, which on a busy machine is not always enough."""
    for _ in range(STARTS - 1):
        try:
            cluster.add_node(num_cpus=1, **options)
            return
        except Exception as error:  # Ray raises just this
            if "timed out during startup" not in str(error):
                raise
    cluster.add_node(num_cpus=1, **options)

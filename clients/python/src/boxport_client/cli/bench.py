"""`boxport bench`"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from enum import Enum
from typing import Annotated, Any, Optional

import typer

from boxport_client.cli import options as given
from boxport_client.cli.bench_photos import made_photo, read_photos
from boxport_client.cli.bench_report import Report, show_report
from boxport_client.cli.endings import ALL_ANSWERED, NO_SERVICE, SOME_FAILED, Refused
from boxport_client.cli.interruption import Interrupted, Interruptions
from boxport_client.cli.load import Level, Target, measure
from boxport_client.cli.settings import Service, find_service
from boxport_client.cli.terminal import aside, say_error, shows_table
from boxport_client.questions import to_query

MOST_CONNECTIONS = 1024


class Task(str, Enum):
    """What is asked."""

    detect = "detect"
    classify = "classify"


Address = Annotated[
    Optional[str],
    typer.Argument(
        metavar="[URL]",
        help="Address of the service; as --url, if not given here.",
        show_default=False,
    ),
]
Photos = Annotated[
    Optional[str],
    typer.Option(
        "--photos",
        metavar="DIR",
        help="Folder, glob or file of the photos that are sent in turn. Without it one JPEG of"
        " 500 x 375 is made, on which a model finds nothing.",
        show_default=False,
    ),
]
Tasks = Annotated[Task, typer.Option("--task", help="What is asked.")]
Concurrencies = Annotated[
    str,
    typer.Option(
        "--concurrency",
        metavar="N,N,...",
        help="Connections that ask at a time; each number is measured on its own.",
    ),
]
Seconds = Annotated[
    float,
    typer.Option(
        "--seconds", metavar="SECONDS", min=0.1, max=600, help="How long each is measured."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON in a terminal too: one object.")]


def bench(
    address: Address = None,
    photos: Photos = None,
    task: Tasks = Task.detect,
    model: given.Model = None,
    concurrency: Concurrencies = "1,4,16,64",
    seconds: Seconds = 10.0,
    as_json: AsJson = False,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    timeout: given.Timeout = 30.0,
) -> None:
    """Measure how many photos the service answers a second, and how long each takes.

    Each connection asks again as soon as it is answered, so the service is never
    asked more at a time than stands there. Nothing is tried again: refusals are
    counted by their code, and are not among the answers. Ask only services that
    are yours: this is load.

    \b
      boxport bench
      boxport bench http://localhost:3000 --photos docs/photos
      boxport bench --task classify --concurrency 1,8 --seconds 30
      boxport bench --json > figures.json

    \b
    Exit status: 0 all requests were answered, 1 some were not, 2 wrong usage or
    setting, 3 the service cannot be reached or refuses, 130 interrupted.
    """
    if address is not None and url is not None:
        raise Refused("give the address once: as URL or as --url")
    numbers = _read_numbers(concurrency)
    service = find_service(address or url, api_key, profile)
    sent = read_photos(photos) if photos is not None else [made_photo()]
    report = Report(service.shown_address, task.value, sent, made=photos is None)
    report.model = _ask_once(service, task, sent[0], model, timeout)
    target = _target(service, task, sent, model, timeout)
    end: Optional[Interrupted] = None
    with Interruptions():
        try:
            for level in _levels(target, numbers, seconds):
                report.levels.append(level)
        except Interrupted as interrupted:
            end = interrupted
    if shows_table(as_json):
        show_report(report)
    else:
        sys.stdout.write(json.dumps(report.to_dict()) + "\n")
    if end is not None:
        say_error(f"interrupted: {len(report.levels)} of {len(numbers)} levels were measured")
        raise typer.Exit(end.status)
    raise typer.Exit(_status(report.levels))


def _levels(target: Target, numbers: Sequence[int], seconds: float) -> Iterator[Level]:
    for number in numbers:
        words = f"{number} at a time, for {seconds:g} s"
        with aside.status(words) if sys.stderr.isatty() else nullcontext():
            level = measure(target, number, seconds)
        yield level


def _read_numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if not all(1 <= number <= MOST_CONNECTIONS for number in numbers):
        raise Refused(
            f"--concurrency {text}: must be numbers from 1 to {MOST_CONNECTIONS} with commas"
            " between, such as 1,4,16"
        )
    return numbers


def _ask_once(
    service: Service, task: Task, photo: bytes, model: Optional[str], timeout: float
) -> str:
    """The model that answers; raises what keeps it from answering."""
    with service.client(timeout, retries=0) as client:
        ask: Any = client.detect if task is Task.detect else client.classify
        return str(ask(photo, model=model).model)


def _target(
    service: Service, task: Task, photos: Sequence[bytes], model: Optional[str], timeout: float
) -> Target:
    query = to_query({"model": model})
    headers = {"Content-Type": "application/octet-stream"}
    if service.api_key.value is not None:
        headers["Authorization"] = f"Bearer {service.api_key.value}"
    path = f"{service.address.rstrip('/')}/v1/{task.value}"
    return Target(f"{path}?{query}" if query else path, headers, photos, timeout)


def _status(levels: Sequence[Level]) -> int:
    if not any(level.milliseconds for level in levels):
        return NO_SERVICE
    return SOME_FAILED if any(level.errors for level in levels) else ALL_ANSWERED

"""`boxport bench`"""

import json
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from io import BytesIO
from typing import Annotated, Any

import typer
from PIL import Image

from boxport_client._parameters import to_query
from boxport_client._photos import to_bytes
from boxport_client.cli import _options as given
from boxport_client.cli._bench_report import Report, show_report
from boxport_client.cli._exit_status import ALL_ANSWERED, NO_SERVICE, SOME_FAILED, CommandError
from boxport_client.cli._interruption import Interrupted, Interruptions
from boxport_client.cli._load import Level, Target, measure
from boxport_client.cli._settings import Service, find_service
from boxport_client.cli._sources import find_sources
from boxport_client.cli._terminal import say_error, shows_table, waiting

MAX_CONNECTIONS = 1024
MAX_PHOTOS = 200  # they are kept in memory
SIZE = (500, 375)  # of most photos in VOC
NOISE = 24  # grey values: makes the file about as large as that of a photo


class Task(str, Enum):
    """The call to measure."""

    detect = "detect"
    classify = "classify"


Address = Annotated[
    str | None,
    typer.Argument(metavar="URL", help="Address of the service; else that of --url."),
]
Photos = Annotated[
    str | None,
    given.option(
        None,
        "--photos",
        "DIR",
        "Folder, glob or file of the photos to send in turn. Else a JPEG of 500 x 375 is made, in"
        " which a model finds nothing.",
    ),
]
Tasks = Annotated[Task, given.option(None, "--task", None, "The call to measure.")]
Concurrencies = Annotated[
    str,
    given.option(
        None,
        "--concurrency",
        "N,N,...",
        "Concurrent connections; each number is measured on its own.",
    ),
]
Seconds = Annotated[
    float,
    given.option(None, "--seconds", "SECONDS", "How long to measure each.", min=0.1, max=600),
]
AsJson = Annotated[
    bool, given.option(None, "--json", None, "Write JSON in a terminal too: one object.")
]


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
    ca_file: given.CaFile = None,
    timeout: given.Timeout = 30.0,
) -> None:
    """Measure how many photos the service answers a second, and how long each takes.

    Each connection sends the next request as soon as it has its answer (closed
    loop). Nothing is tried again: refusals are counted by their code, and are not
    among the answers. This is load: run it against your own services only.

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
        raise CommandError("give the address once: as URL or by --url")
    numbers = _read_numbers(concurrency)
    service = find_service(address or url, api_key, profile, ca_file)
    sent = read_photos(photos) if photos is not None else [made_photo()]
    report = Report(service.shown_address, task.value, sent, made=photos is None)
    report.model = _answering_model(service, task, sent[0], model, timeout)
    target = _target(service, task, sent, model, timeout)
    end: Interrupted | None = None
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
        with waiting(f"{number} at a time, for {seconds:g} s"):
            level = measure(target, number, seconds)
        yield level


def read_photos(name: str) -> list[bytes]:
    """The photos in a folder, or of a glob or file; raises CommandError or PhotoError."""
    sources = find_sources([name])
    if any(source.path is None for source in sources):
        raise CommandError(f"--photos {name}: name a folder, a glob or a file")
    return [to_bytes(source.photo) for source in sources[:MAX_PHOTOS]]


def made_photo() -> bytes:
    """A JPEG of noise, where no photo is given."""
    grain = Image.effect_noise(SIZE, NOISE)
    slope = Image.linear_gradient("L").resize(SIZE)
    picture = Image.merge("RGB", (Image.blend(grain, slope, 0.5), grain, slope))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _read_numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if not all(1 <= number <= MAX_CONNECTIONS for number in numbers):
        raise CommandError(
            f"--concurrency {text}: must be numbers from 1 to {MAX_CONNECTIONS}, separated by"
            " commas, such as 1,4,16"
        )
    return numbers


def _answering_model(
    service: Service, task: Task, photo: bytes, model: str | None, timeout: float
) -> str:
    """The model that answers; raises if it does not."""
    with service.client(timeout, retries=0) as client:
        call: Any = client.detect if task is Task.detect else client.classify
        return str(call(photo, model=model).model)


def _target(
    service: Service, task: Task, photos: Sequence[bytes], model: str | None, timeout: float
) -> Target:
    query = to_query({"model": model})
    headers = {"Content-Type": "application/octet-stream"}
    if service.api_key.value is not None:
        headers["Authorization"] = f"Bearer {service.api_key.value}"
    path = f"{service.address.rstrip('/')}/v1/{task.value}"
    url = f"{path}?{query}" if query else path
    return Target(url, headers, photos, timeout, service.connector())


def _status(levels: Sequence[Level]) -> int:
    if not any(level.milliseconds for level in levels):
        return NO_SERVICE
    return SOME_FAILED if any(level.errors for level in levels) else ALL_ANSWERED

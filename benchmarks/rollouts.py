"""Versions on trial under load: what they cost, and what becomes of them.

    python -m benchmarks.rollouts cost [--candidate PACKAGE]
    python -m benchmarks.rollouts trials --output docs/images
    python -m benchmarks.rollouts many

cost: throughput at saturation and p99 at half of it with a shadow at 10 %, over those without, in
interleaved rounds on one server. trials: a canary that is promoted and one with two labels swapped,
at 20 requests a second; seconds until each ended, requests lost, and a picture of each. many: 20
trials one after the other under load, and what was lost.
"""

import argparse
import itertools
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.boxport import boxport, requests_of
from benchmarks.drive import drive
from benchmarks.packages import MODELS, ROOT
from benchmarks.plots import COLOURS, STYLE
from benchmarks.server import Server
from service.access.key_file import add_entry
from service.access.keys import new_key
from service.manifest import GRAPH_FILE, MANIFEST_FILE

NAME, CANDIDATE = "detector", "2"
PHOTOS = ROOT / "docs" / "photos"
PER_SECOND = 20  # requests of a trial
CALLERS = 8
POLL_SECONDS = 0.25
MAX_SECONDS = 600  # of a trial, on a machine that is busy with other work


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["cost", "trials", "many"])
    parser.add_argument("--candidate", type=Path, help="a package; default: the same network")
    parser.add_argument("--rounds", type=int, default=7, help="of cost")
    parser.add_argument("--seconds", type=float, default=20, help="of each load of cost")
    parser.add_argument("--step-seconds", type=float, default=15, help="of a share of trials")
    parser.add_argument("--output", type=Path, help="folder for the pictures of trials")
    options = parser.parse_args()
    package = MODELS[0].package
    candidate = options.candidate or package
    match options.what:
        case "cost":
            measure_cost(package, candidate, options.rounds, options.seconds)
        case "trials":
            run_trials(package, candidate, options.step_seconds, options.output)
        case "many":
            run_many(package, candidate)


@dataclass(frozen=True)
class Service:
    """A server of `NAME` in two versions, and its operator's key."""

    server: Server
    key: str
    folder: Path

    def order(self, action: str, **body: object) -> dict[str, Any]:
        url = f"{self.server.url}/v1/models/{NAME}/{CANDIDATE}/{action}"
        reply = httpx.post(url, json=body, headers=self.headers, timeout=300)
        reply.raise_for_status()
        answer: dict[str, Any] = reply.json()
        return answer

    def report(self) -> dict[str, Any]:
        url = f"{self.server.url}/v1/models/{NAME}/{CANDIDATE}/shadow"
        answer: dict[str, Any] = httpx.get(url, headers=self.headers, timeout=30).json()
        return answer

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}


@contextmanager
def serving(
    package: Path, candidate: Path, edit: Callable[[Any], None] | None = None
) -> Iterator[Service]:
    """``package`` as version 1 and ``candidate``, its manifest edited, as the version on trial."""
    with tempfile.TemporaryDirectory(prefix="rollouts-") as name:
        folder = Path(name)
        put(package, folder / "store", "1")
        put(candidate, folder / "store", CANDIDATE, edit)
        text, entry = new_key("operator", ["infer", "admin"], None, None)
        add_entry(folder / "keys.json", entry)
        with boxport(folder / "store", folder, keys_file=folder / "keys.json") as server:
            yield Service(server, text, folder)


def put(
    package: Path, store: Path, version: str, edit: Callable[[Any], None] | None = None
) -> None:
    folder = store / NAME / version
    folder.mkdir(parents=True)
    manifest = json.loads((package / MANIFEST_FILE).read_text())
    manifest |= {"name": NAME, "version": version}
    if edit is not None:
        edit(manifest)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    shutil.copy(package / GRAPH_FILE, folder)


def swap_labels(manifest: Any) -> None:
    """The person and the cat, which the sample photos show."""
    labels = manifest["labels"]
    one, other = ([label["name"] for label in labels].index(name) for name in ("person", "cat"))
    labels[one], labels[other] = labels[other], labels[one]


def measure_cost(package: Path, candidate: Path, rounds: int, seconds: float) -> None:
    """Print the ratios of rounds with a shadow to those without."""
    with serving(package, candidate) as service:
        plain = requests_of(PHOTOS, f"{MODELS[0].path}?model={NAME}")
        requests = [
            type(one)(**{**vars(one), "headers": {**one.headers, **service.headers}})
            for one in plain
        ]
        service.order("shadow", share=0.1)
        service.order("abort")
        half = drive(service.server, requests, service.folder, seconds)["per_second"] / 2
        figures: dict[tuple[bool, str], list[float]] = {}
        for number in range(rounds):
            for shadowed in (True, False) if number % 2 else (False, True):
                if shadowed:
                    service.order("shadow", share=0.1)
                full = drive(service.server, requests, service.folder, seconds)
                calm = drive(service.server, requests, service.folder, seconds, rate=half)
                if shadowed:
                    known = service.report()
                    print(f"  compared {known['compared']}, dropped {known['dropped']}")
                    service.order("abort")
                figures.setdefault((shadowed, "throughput"), []).append(full["per_second"])
                figures.setdefault((shadowed, "p99"), []).append(calm["p99_ms"])
        print(f"half load: {half:.1f} a second; {rounds} rounds of {seconds:g} s")
        for name, bar in (("throughput", ">= .90"), ("p99", "<= 1.05")):
            ratios = [a / b for a, b in zip(figures[True, name], figures[False, name], strict=True)]
            each = " ".join(f"{ratio:.3f}" for ratio in ratios)
            print(f"{name}: median {statistics.median(ratios):.3f} ({bar}); {each}")


@dataclass
class Trial:
    """What was seen of one: a report every `POLL_SECONDS`, by seconds, and each request's reply.

    lost: replies other than 200, by status or error.
    """

    reports: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[float, str]] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def ended(self) -> float | None:
        """Seconds until it was over."""
        over = ("promoted", "taken_back")
        return next((at for at, report in self.reports if report["phase"] in over), None)


@contextmanager
def load_on(service: Service, trial: Trial, began: float) -> Iterator[None]:
    """`PER_SECOND` requests of the sample photos, in turn."""
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]
    numbers, stop = itertools.count(), threading.Event()

    def call() -> None:
        with httpx.Client(
            base_url=service.server.url, headers=service.headers, timeout=60
        ) as client:
            while True:
                number = next(numbers)
                if stop.wait(max(0.0, began + number / PER_SECOND - time.monotonic())):
                    return
                try:
                    reply = client.post(
                        f"/v1/detect?model={NAME}",
                        content=photos[number % len(photos)],
                        headers={"Content-Type": "image/jpeg"},
                    )
                except httpx.HTTPError as error:
                    trial.lost[type(error).__name__] += 1
                    continue
                if reply.status_code == 200:
                    version = reply.json()["model"]["version"]
                    trial.answers.append((time.monotonic() - began, version))
                else:
                    trial.lost[str(reply.status_code)] += 1

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def watch(service: Service, order: dict[str, object], seconds: float) -> Trial:
    """A canary under load until it is over, at most ``seconds``, and a little longer."""
    trial = Trial()
    service.order("canary", **order)
    began = time.monotonic()
    with load_on(service, trial, began):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and trial.ended is None:
            trial.reports.append((time.monotonic() - began, service.report()))
            time.sleep(POLL_SECONDS)
        last = time.monotonic() + 5
        while time.monotonic() < last:
            trial.reports.append((time.monotonic() - began, service.report()))
            time.sleep(POLL_SECONDS)
    return trial


def run_trials(package: Path, candidate: Path, step_seconds: float, output: Path | None) -> None:
    for name, edit, order in (
        ("promoted", None, {"schedule": [0.05, 0.25, 1.0], "step_seconds": step_seconds}),
        ("taken-back", swap_labels, {"share": 0.05}),
    ):
        with serving(package, candidate, edit) as service:
            trial = watch(service, order, MAX_SECONDS)
        last = trial.reports[-1][1]
        took = "never ended" if trial.ended is None else f"over after {trial.ended:.1f} s"
        print(
            f"{name}: {took}, {last['phase']} {last.get('reason', '')};"
            f" {len(trial.answers)} answers, lost: {dict(trial.lost) or 'none'}"
        )
        if output is not None:
            with mpl.rc_context(STYLE):
                path = output / f"rollout-{name}.svg"
                draw(trial).savefig(path, metadata={"Date": None}, bbox_inches="tight")


def run_many(package: Path, candidate: Path, number: int = 20) -> None:
    """Alternately promoted and aborted, with a load all the while."""
    trial = Trial()
    with serving(package, candidate) as service:
        began = time.monotonic()
        with load_on(service, trial, began):
            for i in range(number):
                service.order("canary", share=0.5)
                time.sleep(2)
                service.order("promote" if i % 2 else "abort")
                if i % 2:
                    service.order("unpin")
    by_version = Counter(version for _, version in trial.answers)
    print(
        f"{number} trials: {len(trial.answers)} answers {dict(by_version)},"
        f" lost: {dict(trial.lost) or 'none'}"
    )


def draw(trial: Trial) -> Figure:
    """Who answered, and how far both agree."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    ends = trial.reports[-1][0]
    for colour, version, title in zip(
        COLOURS, ("1", CANDIDATE), ("the version of before", "the one on trial"), strict=False
    ):
        times = [at for at, by in trial.answers if by == version]
        counts = _per_second(times, ends)
        above.step(range(len(counts)), counts, where="post", color=colour, label=title)
    above.set_ylabel("answers a second")
    above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    known = [(at, report["agreement"]) for at, report in trial.reports if "agreement" in report]
    times = [at for at, _ in known]
    low, value, high = ([one[key] for _, one in known] for key in ("low", "value", "high"))
    below.fill_between(times, low, high, color=COLOURS[1], alpha=0.35, label="95 % interval")
    below.plot(times, value, color=COLOURS[0], label="agreement")
    below.axhline(0.95, color=COLOURS[2], linestyle="--", linewidth=1, label="bound")
    below.set_ylim(min([0.8, *low]) - 0.02, 1.01)
    below.set_ylabel("agreement")
    below.set_xlabel("seconds")
    below.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    if trial.ended is not None:
        phase = trial.reports[-1][1]["phase"].replace("_", " ")
        for axes in (above, below):
            axes.axvline(trial.ended, color="#555555", linewidth=1)
        above.annotate(phase, (trial.ended, 0), (4, 4), textcoords="offset points")
    return figure


def _per_second(times: Sequence[float], ends: float) -> list[int]:
    found = Counter(int(at) for at in times)
    return [found[second] for second in range(int(ends))]


if __name__ == "__main__":
    main()

"""`python -m benchmarks`: how fast Boxport is, beside an upper bound and its peers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.box import MARKDOWN
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.capacity import Machine
from benchmarks.capacity_tables import compare_queue, measured_machine, measured_models, needs
from benchmarks.machine import describe_machine
from benchmarks.packages import MODELS, ROOT, PackageMakingError
from benchmarks.peers.table import PEERS
from benchmarks.report import target_row, write_report
from benchmarks.results import Results
from benchmarks.run import KINDS, PARTS, SAMPLES, RunJob, measure
from benchmarks.server import ServerError
from benchmarks.targets import verdicts
from service.cpus import available_cpus
from service.imaging.files import PhotoError

RESULTS = "results.json"
PAGE = ROOT / "docs" / "performance.md"
COLOURS = {"goal": "green", "met": "yellow", "missed": "red", "not measured": "dim"}
QUICK = (1.5, 1, 1)  # seconds of a load, rounds, interleaved rounds
RENAMED_PARTS = {"limit": "upper-bound", "heats": "interleaved"}  # names in 0.1 -> names now
MAX_BACKGROUND_LOAD = 0.1  # share of the processors; the operating system itself needs some
RATES = "10,1000,100000"
WIDTH = 130  # of the output where it is no terminal

app = typer.Typer(
    help="How fast Boxport is, beside an upper bound and its peers.",
    no_args_is_help=True,
    add_completion=False,
)
Value = TypeVar("Value")
console = Console(stderr=True, highlight=False)
if not console.is_terminal:
    console.width = WIDTH

Page = Annotated[
    Path, typer.Option(help="The report to write; its pictures go into images/ beside it.")
]
Cache = Annotated[
    Path, typer.Option(help="Folder of photos, packages in 8 bits and the last results.")
]


@app.command()
def run(
    only: Annotated[
        str, typer.Option(help=f"Parts to run, with a comma between: {', '.join(PARTS)}.")
    ] = ",".join(PARTS),
    models: Annotated[
        str, typer.Option(help="Only models whose names contain one of these, with commas.")
    ] = "",
    photo_sizes: Annotated[
        str, typer.Option(help=f"Photos to send, with a comma between: {', '.join(KINDS)}.")
    ] = ",".join(KINDS),
    peers: Annotated[
        str, typer.Option(help="Only peers whose names contain one of these, with commas.")
    ] = "",
    int8: Annotated[bool, typer.Option(help="Measure Boxport in 8 bits too.")] = True,
    seconds: Annotated[float, typer.Option(min=0.2, help="Of each load.")] = RunJob.seconds,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each system.")] = RunJob.rounds,
    interleaved_rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of short turns, with all systems up.")
    ] = RunJob.interleaved_rounds,
    heats: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,  # its name in 0.1
    quick: Annotated[
        bool,
        typer.Option("--quick", help="One round of short loads, to see that everything works."),
    ] = False,
    photos: Annotated[
        Path, typer.Option(help="Folder of photos that the small ones are cut from.", exists=True)
    ] = SAMPLES,
    output: Page = PAGE,
    cache: Cache = RunJob.cache,
) -> None:
    """Measure, write the report, and show which targets were reached.

    The machine should be idle otherwise. Peers are installed when they are first measured.
    """
    if quick:
        seconds, rounds, interleaved_rounds = QUICK
    job = RunJob(
        parts=_chosen(only, PARTS, "--only"),
        kinds=_chosen(photo_sizes, KINDS, "--photo-sizes"),
        models=_matching(models, {model.title: model for model in MODELS}, "--models"),
        peers=_matching(peers, {peer.name: peer.name for peer in PEERS}, "--peers"),
        int8=int8,
        seconds=seconds,
        rounds=rounds,
        interleaved_rounds=heats or interleaved_rounds,
        photos=photos,
        cache=cache,
    )
    results = Results(describe_machine(), {**job.settings, "quick": "yes" if quick else "no"})
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
            bar = progress.add_task("photos, packages in 8 bits", total=None)

            def on_turn(name: str, number: int, total: int) -> None:
                progress.console.print(f"[dim]{number:3} of {total}[/] {escape(name)}")
                progress.update(bar, description="turns", completed=number - 1, total=total)

            measure(job, results, on_turn)
    except (ServerError, PackageMakingError, PhotoError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        console.print("What was measured before is kept; python -m benchmarks report shows it.")
        raise typer.Exit(1) from error
    finally:
        results.write(cache / RESULTS)
    _finish(results, output)


@app.command()
def report(output: Page = PAGE, cache: Cache = RunJob.cache) -> None:
    """Write the report of the last run again."""
    _finish(_last(cache), output)


@app.command()
def capacity(
    slo_p99_ms: Annotated[
        float, typer.Option(min=1, help="Greatest latency of 99 of 100 photos.")
    ] = 200.0,
    rates: Annotated[str, typer.Option(help="Photos a second, with commas between.")] = RATES,
    price: Annotated[float, typer.Option(min=0, help="Of one machine, an hour.")] = 0.10,
    photo_ms: Annotated[
        float | None,
        typer.Option(min=0.01, help="Processor time of a photo. Default: the last run's."),
    ] = None,
    loop_ms: Annotated[
        float, typer.Option(min=0, help="Time of the event loop for a photo, beside --photo-ms.")
    ] = 0.7,
    processors: Annotated[int, typer.Option(min=1, help="Of a machine.")] = available_cpus(),
    cache: Cache = RunJob.cache,
) -> None:
    """How many machines a load needs, by the figures of the last run or by those given."""
    if photo_ms is not None:
        machines = {f"{photo_ms:g} ms": Machine(processors, [photo_ms / 1e3], loop_ms / 1e3)}
    else:
        results = _last(cache)
        machines = {name: measured_machine(results, name) for name in measured_models(results)}
        _print(
            ("model", "load", "p50 measured", "queue", "p99 measured", "queue"),
            [
                row
                for name, machine in machines.items()
                for row in compare_queue(results, name, machine)
            ],
        )
    _print(
        ("model", "photos/s", "machines", "utilisation", "p99, one down", "cost of a million"),
        [
            (name, *row)
            for name, machine in machines.items()
            for row in needs(machine, [float(r) for r in _split(rates)], slo_p99_ms / 1e3, price)
        ],
    )


def _last(cache: Path) -> Results:
    path = cache / RESULTS
    if not path.is_file():
        console.print(f"[red]error:[/] {path}: no such file; python -m benchmarks run writes it")
        raise typer.Exit(1)
    return Results.read(path)


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, box=MARKDOWN)
    for row in rows:
        table.add_row(*row)
    Console(width=WIDTH, highlight=False).print(table)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _chosen(names: str, known: tuple[str, ...], option: str) -> list[str]:
    chosen = [RENAMED_PARTS.get(name, name) for name in _split(names)]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r} is not one of {', '.join(known)}", param_hint=option
        )
    return chosen


def _matching(parts: str, known: Mapping[str, Value], option: str) -> list[Value]:
    """Those whose names contain one of ``parts``, in whatever case; each part must match one."""
    names = {
        part: [name for name in known if part in name.casefold()]
        for part in _split(parts.casefold())
    }
    for part, found in names.items():
        if not found:
            raise typer.BadParameter(
                f"{part!r} is in none of {'; '.join(known)}", param_hint=option
            )
    chosen = {name for found in names.values() for name in found}
    return [value for name, value in known.items() if name in chosen]


def _finish(results: Results, output: Path) -> None:
    write_report(results, output, output.parent / "images")
    table = Table("figure", "model", "measured", "required", "goal", "result", box=None)
    for verdict in verdicts(results):
        *cells, word = target_row(verdict)
        table.add_row(*map(escape, cells), f"[{COLOURS[word]}]{word}[/]")
    console.print(table)
    if results.background_load and results.background_load[0] > MAX_BACKGROUND_LOAD:
        share = f"{results.background_load[0]:.0%}"
        console.print(
            f"[yellow]the machine was busy:[/] other processes took {share} of its processors"
        )
    for name, reason in results.missing.items():
        console.print(f"[yellow]not measured:[/] {name}: {escape(reason.splitlines()[-1])}")
    console.print(f"wrote {output}")


if __name__ == "__main__":
    app()

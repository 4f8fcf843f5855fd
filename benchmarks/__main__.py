"""`python -m benchmarks`: how fast Boxport is, next to what the machine can do and to its peers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import MARKDOWN
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.bars import verdicts
from benchmarks.capacity import Machine
from benchmarks.capacity_tables import measured_machine, measured_models, needs, seen_beside
from benchmarks.machine import describe_machine
from benchmarks.packages import MODELS, ROOT, PackageMakingError
from benchmarks.report import bar_row, write_report
from benchmarks.results import Results
from benchmarks.run import KINDS, PARTS, SAMPLES, RunJob, measure
from benchmarks.server import ServerError
from export.photos import PhotoError
from service.cpus import available_cpus

RESULTS = "results.json"
PAGE = ROOT / "docs" / "performance.md"
COLOURS = {"goal": "green", "met": "yellow", "missed": "red", "not measured": "dim"}
QUICK = (1.5, 1, 1)  # seconds of a load, rounds, heats
BUSY = 0.1  # share of the processors that others may take; the system itself needs some
RATES = "10,1000,100000"
WIDTH = 130  # of what is printed where no terminal says

app = typer.Typer(
    help="How fast Boxport is, next to what the machine can do and to its peers.",
    no_args_is_help=True,
    add_completion=False,
)
console = Console(stderr=True, highlight=False)
if not console.is_terminal:
    console.width = WIDTH

Page = Annotated[Path, typer.Option(help="Where the report goes; pictures go into images/ by it.")]
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
    rounds: Annotated[int, typer.Option(min=1, help="Turns that everybody has.")] = RunJob.rounds,
    heats: Annotated[
        int,
        typer.Option(min=1, help="Short turns of Boxport, the limit and the best peers, all up."),
    ] = RunJob.heats,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round of short loads, to see that all works.")
    ] = False,
    photos: Annotated[
        Path, typer.Option(help="Folder of photos to cut the small ones of.", exists=True)
    ] = SAMPLES,
    output: Page = PAGE,
    cache: Cache = RunJob.cache,
) -> None:
    """Measure, write the report, and show what has been reached.

    The machine should have nothing else to do. Peers are installed when they are first measured.
    """
    if quick:
        seconds, rounds, heats = QUICK
    job = RunJob(
        parts=_chosen(only, PARTS, "--only"),
        kinds=_chosen(photo_sizes, KINDS, "--photo-sizes"),
        models=[model for model in MODELS if any(x in model.title for x in _split(models))],
        peers=_split(peers),
        int8=int8,
        seconds=seconds,
        rounds=rounds,
        heats=heats,
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
        console.print("What was measured until then is kept: python -m benchmarks report shows it.")
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
        float, typer.Option(min=1, help="What 99 of 100 photos may take at most.")
    ] = 200.0,
    rates: Annotated[str, typer.Option(help="Photos a second, with commas between.")] = RATES,
    price: Annotated[float, typer.Option(min=0, help="Of one machine, an hour.")] = 0.10,
    photo_ms: Annotated[
        float | None,
        typer.Option(min=0.01, help="Of a processor, for a photo. Default: the last run's."),
    ] = None,
    loop_ms: Annotated[
        float, typer.Option(min=0, help="Of the event loop, beside --photo-ms.")
    ] = 0.7,
    processors: Annotated[int, typer.Option(min=1, help="Of a machine.")] = available_cpus(),
    cache: Cache = RunJob.cache,
) -> None:
    """How many machines a load needs: by the last run's figures, or by those that are given."""
    if photo_ms is not None:
        machines = {f"{photo_ms:g} ms": Machine(processors, [photo_ms / 1e3], loop_ms / 1e3)}
    else:
        results = _last(cache)
        machines = {name: measured_machine(results, name) for name in measured_models(results)}
        _print(
            ("model", "load", "p50 seen", "queue", "p99 seen", "queue"),
            [
                row
                for name, machine in machines.items()
                for row in seen_beside(results, name, machine)
            ],
        )
    _print(
        ("model", "photos/s", "machines", "busy", "p99, one gone", "a million"),
        [
            (name, *row)
            for name, machine in machines.items()
            for row in needs(machine, [float(r) for r in _split(rates)], slo_p99_ms / 1e3, price)
        ],
    )


def _last(cache: Path) -> Results:
    path = cache / RESULTS
    if not path.is_file():
        console.print(f"[red]error:[/] {path}: there is no such file; run first")
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
    chosen = _split(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(known)}", param_hint=option)
    return chosen


def _finish(results: Results, output: Path) -> None:
    write_report(results, output, output.parent / "images")
    table = Table("figure", "model", "measured", "bar", "goal", "result", box=None)
    for verdict in verdicts(results):
        *cells, word = bar_row(verdict)
        table.add_row(*map(escape, cells), f"[{COLOURS[word]}]{word}[/]")
    console.print(table)
    if results.others and results.others[0] > BUSY:
        share = f"{results.others[0]:.0%}"
        console.print(f"[yellow]the machine was busy:[/] others took {share} of its processors")
    for name, reason in results.missing.items():
        console.print(f"[yellow]not measured:[/] {name}: {escape(reason.splitlines()[-1])}")
    console.print(f"wrote {output}")


if __name__ == "__main__":
    app()

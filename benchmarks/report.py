"""Writes docs/performance.md from the results of a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.boxport import NAME
from benchmarks.footprint import BOTH
from benchmarks.minimal_server import MINIMAL
from benchmarks.packages import INT8, MODELS, title_of
from benchmarks.plots import GROWTH, STAGES, draw, growth_points, stage_rows
from benchmarks.results import Results
from benchmarks.systems import INTERLEAVED, SHARES, UPPER_BOUND, closed, opened
from benchmarks.targets import (
    TAIL_SHARE,
    Verdict,
    at_16,
    best_layout,
    unloaded_latency,
    verdicts,
)

TEMPLATE = "performance.md.j2"
NONE = "–"  # noqa: RUF001
KINDS = {"small": "500 x 375", "phone": "12 megapixels"}
HEAD = (
    "server",
    "throughput / upper bound",
    "Boxport's throughput / its own",
    "p50 / Boxport's",
    "p99 / Boxport's",
    "processor time / Boxport's",
    "memory, MB (PSS)",
    "start, s",
)


@dataclass(frozen=True)
class Part:
    """A table with a title and a text above it."""

    title: str
    text: str
    head: tuple[str, ...]
    rows: list[list[str]]


def write_report(results: Results, path: Path, pictures: Path) -> None:
    """Write the page to ``path``, its pictures into the folder ``pictures``."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made = draw(results, pictures)
    rows = stage_rows(results)
    layout_names = list(
        dict.fromkeys(
            name
            for kind in KINDS
            for name in results.names("load", system=UPPER_BOUND, photos=kind)
        )
    )
    text = environment.get_template(TEMPLATE).render(
        machine=results.machine,
        background_load=results.background_load,
        settings=results.settings,
        missing={name: reason.splitlines()[-1] for name, reason in results.missing.items()},
        onnxruntime=onnxruntime.__version__,
        targets=[target_row(verdict) for verdict in verdicts(results)],
        footprint=footprint(results),
        pictures={name: f"{pictures.name}/{picture.name}" for name, picture in made.items()},
        sides=list(sides(results)),
        minimal=list(minimal_rows(results)),
        tail_share=TAIL_SHARE,
        opened=list(open_rows(results)),
        stage_names=[name for name, _ in STAGES],
        stages=[
            [name, *(f"{part:.1f} ({part / sum(parts):.0%})" for part in parts)]
            for name, parts in rows
        ],
        processor=list(processor_rows(results)),
        layout_names=layout_names,
        layouts=list(layout_rows(results, layout_names)),
        growth=list(growth_parts(results)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def target_row(verdict: Verdict) -> list[str]:
    """A row of the table of targets, on the page and in the terminal."""
    target = verdict.target
    sign, unit = ("≥" if target.at_least else "≤"), (f" {target.unit}" if target.unit else "")
    value = NONE if verdict.value is None else f"{verdict.value:.3g}{unit}"
    return [
        target.name,
        title_of(verdict.model),
        value,
        f"{sign} {target.required:g}{unit}",
        f"{sign} {target.goal:g}{unit}",
        verdict.word,
    ]


def footprint(results: Results) -> str:
    """A sentence on memory, as RSS and as PSS; empty if it was not measured."""
    where = {"system": NAME, "model": BOTH, "load": "footprint"}
    rss, pss, idle = (
        results.median(**where, metric=metric) for metric in ("rss_mb", "pss_mb", "idle_rss_mb")
    )
    if rss is None or pss is None or idle is None:
        return ""
    return (
        f"Memory is the sum over all of Boxport's processes with both models in float32: {rss:.0f}"
        f" MB resident (RSS) after load and {idle:.0f} before it; {pss:.0f} MB where what processes"
        " share is counted once (PSS)."
    )


def sides(results: Results) -> Iterator[Part]:
    """Boxport and its peers side by side, a table for each model and kind of photos."""
    for model in MODELS:
        for kind, size in KINDS.items():
            systems = results.names("system", model=model.name, photos=kind, load=closed(16))
            rows = [side_row(results, model.name, kind, system) for system in systems]
            if NAME in systems and model.name + INT8 in results.names("model", photos=kind):
                rows.append(side_row(results, model.name + INT8, kind, NAME))
            if not rows:
                continue
            layout = best_layout(results, model.name, kind)
            in_process = at_16(model.name, kind, UPPER_BOUND)
            speed = results.median(**{**in_process, "load": layout})
            text = "16 connections, closed loop."
            if speed is not None:
                text += f" The upper bound is {speed:.1f} photos a second in float32."
            yield Part(f"{model.title}, photos of {size}", text, HEAD, rows)


def side_row(results: Results, model: str, kind: str, system: str) -> list[str]:
    """The row of one server: ratios to the upper bound of the same precision, and to Boxport in
    float32."""
    base = model.removesuffix(INT8)
    layout = best_layout(results, model, kind)
    own, ours = at_16(model, kind, system), at_16(base, kind)
    start = {"system": system, "model": model, "photos": kind, "load": "start"}
    memory, seconds = (results.median(**start, metric=name) for name in ("pss_mb", "seconds"))
    ratios = [
        results.ratio(own, {**at_16(model, kind, UPPER_BOUND), "load": layout}),
        results.ratio(ours, own),
        *(
            results.ratio({**own, "metric": metric}, {**ours, "metric": metric})
            for metric in ("p50_ms", "p99_ms", "cpu_ms")
        ),
    ]
    name = f"**{system}**" if system == NAME else system
    return [
        name + (", int8" if model != base else ""),
        *(NONE if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        NONE if memory is None else f"{memory:.0f}",
        NONE if seconds is None else f"{seconds:.1f}",
    ]


def minimal_rows(results: Results) -> Iterator[list[str]]:
    """For each package: the median of a single photo in process, and as multiples of it those of a
    single request to the minimal server and to Boxport."""
    for model in results.names("model", system=MINIMAL):
        ours = {**at_16(model, metric="p50_ms"), "load": closed(1)}
        in_process = {**ours, "system": UPPER_BOUND}
        latency = results.median(**in_process)
        minimal = results.ratio({**ours, "system": MINIMAL}, in_process)
        ratios = [minimal, unloaded_latency(results, model)]
        if latency is not None and None not in ratios:
            yield [title_of(model), f"{latency:.1f} ms", *(f"{ratio:.2f}" for ratio in ratios)]


def open_rows(results: Results) -> Iterator[list[str]]:
    """For each package, as multiples of a single photo's or request's median: single photos and an
    open loop in process, then single requests and open loops of Boxport."""
    for model in results.names("model", system=NAME, load=opened(SHARES[0])):
        loads = [
            ("in process, one photo at a time", UPPER_BOUND, closed(1)),
            (f"in process, {TAIL_SHARE} %", UPPER_BOUND, opened(TAIL_SHARE)),
            ("one connection", NAME, closed(1)),
            *((f"{share} %", NAME, opened(share)) for share in SHARES),
        ]
        for name, system, load in loads:
            where = {"model": model, "photos": INTERLEAVED, "system": system}
            single = {**where, "load": closed(1), "metric": "p50_ms"}
            ratios = [
                results.ratio({**where, "load": load, "metric": metric}, single)
                for metric in ("p50_ms", "p99_ms")
            ]
            cells = [NONE if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            yield [title_of(model), name, *cells]


def processor_rows(results: Results) -> Iterator[list[str]]:
    """For each package at 16 connections: the processor time of the work, and what serving adds."""
    for model in results.names("model", system=NAME, photos=INTERLEAVED, metric="cpu_ms"):
        ours = at_16(model, metric="cpu_ms")
        in_process = {**ours, "system": UPPER_BOUND}
        work, ratio = results.median(**in_process), results.ratio(ours, in_process)
        beyond = results.difference(ours, in_process)
        loop = results.median(**{**ours, "metric": "loop_ms"})
        if work is None or ratio is None or beyond is None or loop is None:
            continue
        cells = [f"{work:.1f} ms", f"{ratio:.3f}", f"{beyond:.2f} ms", f"{loop:.2f} ms"]
        yield [title_of(model), *cells]


def layout_rows(results: Results, names: list[str]) -> Iterator[list[str]]:
    """For each package and kind of photos: the upper bound's layouts as shares of the fastest."""
    for model in results.names("model", system=UPPER_BOUND):
        for kind in KINDS:
            best = best_layout(results, model, kind)
            if best is None:
                continue
            cells = []
            for name in names:
                where = at_16(model, kind, UPPER_BOUND)
                ratio = results.ratio({**where, "load": name}, {**where, "load": best})
                speed = results.median(**{**where, "load": name})
                first = name == best and speed is not None
                cells.append(
                    f"1, {speed:.1f} photos/s"
                    if first
                    else NONE
                    if ratio is None
                    else f"{ratio:.2f}"
                )
            yield [title_of(model), KINDS[kind], *cells]


def growth_parts(results: Results) -> Iterator[Part]:
    """A table for each quantity that grows, with multiples of its first row."""
    for what, name, metric, unit in GROWTH:
        points = growth_points(results, what, metric)
        if points:
            first = points[0][1]
            rows = [[f"{size:g}", f"{value:.1f}", f"{value / first:.2f}"] for size, value in points]
            yield Part("", "", (name, unit, "/ first"), rows)

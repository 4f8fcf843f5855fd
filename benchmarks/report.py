"""docs/performance.md: what a run has found."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.bare import BARE
from benchmarks.bars import (
    PER_SECOND,
    TAIL_SHARE,
    Verdict,
    at_16,
    best_layout,
    lone_latency,
    verdicts,
)
from benchmarks.boxport import NAME
from benchmarks.contenders import HEAT, LIMIT, SHARES, closed, opened
from benchmarks.footprint import BOTH
from benchmarks.packages import INT8, MODELS, title_of
from benchmarks.plots import GROWTH, STAGES, draw, growth_points, stage_rows
from benchmarks.results import Results

TEMPLATE = "performance.md.j2"
NONE = "–"  # noqa: RUF001
KINDS = {"small": "500 x 375", "phone": "12 megapixels"}
HEAD = (
    "server",
    "throughput / limit",
    "Boxport / it",
    "p50 / Boxport's",
    "p99 / Boxport's",
    "processor time / Boxport's",
    "memory, MB (PSS)",
    "start, s",
)


@dataclass(frozen=True)
class Part:
    """A table under a title."""

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
            name for kind in KINDS for name in results.names("load", who=LIMIT, photos=kind)
        )
    )
    text = environment.get_template(TEMPLATE).render(
        machine=results.machine,
        others=results.others,
        settings=results.settings,
        missing={name: reason.splitlines()[-1] for name, reason in results.missing.items()},
        onnxruntime=onnxruntime.__version__,
        bars=[bar_row(verdict) for verdict in verdicts(results)],
        footprint=footprint(results),
        pictures={name: f"{pictures.name}/{picture.name}" for name, picture in made.items()},
        sides=list(sides(results)),
        bare=list(bare_rows(results)),
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


def bar_row(verdict: Verdict) -> list[str]:
    """As the page and the terminal show it."""
    bar = verdict.bar
    sign, unit = ("≥" if bar.at_least else "≤"), (f" {bar.unit}" if bar.unit else "")
    value = NONE if verdict.value is None else f"{verdict.value:.3g}{unit}"
    return [
        bar.name,
        title_of(verdict.model),
        value,
        f"{sign} {bar.bar:g}{unit}",
        f"{sign} {bar.goal:g}{unit}",
        verdict.word,
    ]


def footprint(results: Results) -> str:
    """A sentence on memory, counted in both ways."""
    where = {"who": NAME, "model": BOTH, "load": "footprint"}
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
            whos = results.names("who", model=model.name, photos=kind, load=closed(16))
            rows = [side_row(results, model.name, kind, who) for who in whos]
            if NAME in whos and model.name + INT8 in results.names("model", photos=kind):
                rows.append(side_row(results, model.name + INT8, kind, NAME))
            if not rows:
                continue
            layout = best_layout(results, model.name, kind)
            limit = {"who": LIMIT, "model": model.name, "photos": kind, "metric": PER_SECOND}
            speed = results.median(**limit, load=layout)
            text = "16 connections, closed loop."
            if speed is not None:
                text += f" The limit is {speed:.1f} photos a second in float32."
            yield Part(f"{model.title}, photos of {size}", text, HEAD, rows)


def side_row(results: Results, model: str, kind: str, who: str) -> list[str]:
    """Of one server; ratios to the limit of the same precision, and to Boxport in float32."""
    base = model.removesuffix(INT8)
    layout = best_layout(results, model, kind)
    own, ours = at_16(model, kind, who), at_16(base, kind)
    start = {"who": who, "model": model, "photos": kind, "load": "start"}
    memory, seconds = (results.median(**start, metric=name) for name in ("pss_mb", "seconds"))
    ratios = [
        results.ratio(own, {**at_16(model, kind, LIMIT), "load": layout}),
        results.ratio(ours, own),
        *(
            results.ratio({**own, "metric": metric}, {**ours, "metric": metric})
            for metric in ("p50_ms", "p99_ms", "cpu_ms")
        ),
    ]
    name = f"**{who}**" if who == NAME else who
    return [
        name + (", int8" if model != base else ""),
        *(NONE if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        NONE if memory is None else f"{memory:.0f}",
        NONE if seconds is None else f"{seconds:.1f}",
    ]


def bare_rows(results: Results) -> Iterator[list[str]]:
    """Of each package: the median of a lone photo in process, and as multiples of it those of a
    lone request to the bare server and to Boxport."""
    for model in results.names("model", who=BARE):
        lone = {**at_16(model, metric="p50_ms"), "load": closed(1)}
        limit = {**lone, "who": LIMIT}
        alone = results.median(**limit)
        ratios = [results.ratio({**lone, "who": BARE}, limit), lone_latency(results, model)]
        if alone is not None and None not in ratios:
            yield [title_of(model), f"{alone:.1f} ms", *(f"{ratio:.2f}" for ratio in ratios)]


def open_rows(results: Results) -> Iterator[list[str]]:
    """Of each package: a photo alone in process and an open loop there, a request alone, and then
    the open loops."""
    for model in results.names("model", who=NAME, load=opened(SHARES[0])):
        where = {"model": model, "photos": HEAT}
        loads = {
            "in process, one photo at a time": {**where, "who": LIMIT, "load": closed(1)},
            f"in process, {TAIL_SHARE} %": {**where, "who": LIMIT, "load": opened(TAIL_SHARE)},
            "one connection": {**where, "who": NAME, "load": closed(1)},
            **{f"{share} %": {**where, "who": NAME, "load": opened(share)} for share in SHARES},
        }
        for name, load in loads.items():
            who = {**load, "load": closed(1), "metric": "p50_ms"}
            ratios = [
                results.ratio({**load, "metric": metric}, who) for metric in ("p50_ms", "p99_ms")
            ]
            cells = [NONE if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            yield [title_of(model), name, *cells]


def processor_rows(results: Results) -> Iterator[list[str]]:
    """Of each package at 16 connections: what the work takes, and what serving adds to it."""
    for model in results.names("model", who=NAME, photos=HEAT, metric="cpu_ms"):
        ours = at_16(model, metric="cpu_ms")
        limit = {**ours, "who": LIMIT}
        work, ratio = results.median(**limit), results.ratio(ours, limit)
        beyond = results.difference(ours, limit)
        loop = results.median(**{**ours, "metric": "loop_ms"})
        if work is None or ratio is None or beyond is None or loop is None:
            continue
        cells = [f"{work:.1f} ms", f"{ratio:.3f}", f"{beyond:.2f} ms", f"{loop:.2f} ms"]
        yield [title_of(model), *cells]


def layout_rows(results: Results, names: list[str]) -> Iterator[list[str]]:
    for model in results.names("model", who=LIMIT):
        for kind in KINDS:
            best = best_layout(results, model, kind)
            if best is None:
                continue
            cells = []
            for name in names:
                where = {"who": LIMIT, "model": model, "photos": kind, "metric": PER_SECOND}
                ratio = results.ratio({**where, "load": name}, {**where, "load": best})
                speed = results.median(**where, load=name)
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
    """Each as multiples of its first row."""
    for what, name, metric, unit in GROWTH:
        points = growth_points(results, what, metric)
        if points:
            first = points[0][1]
            rows = [[f"{size:g}", f"{value:.1f}", f"{value / first:.2f}"] for size, value in points]
            yield Part("", "", (name, unit, "/ first"), rows)

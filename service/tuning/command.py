"""`python -m service tune`: find the settings that suit a machine, a model and photos."""

import math
import os
import sys
import time
from pathlib import Path

import tomlkit
from rich.console import Console
from rich.table import Table
from tomlkit.exceptions import TOMLKitError

from service.imaging.files import visible_files
from service.imaging.formats import select_photos
from service.imaging.images import open_image
from service.manifest import MANIFEST_FILE, ModelManifest, read_manifest
from service.package import PackageError
from service.problems import Problem
from service.providers import OPENVINO, has_bf16
from service.repository.store import scan_store
from service.settings import FILE_VARIABLE, Settings, SettingsError, read_settings
from service.terminal import one_line_errors, say
from service.tuning.search import Finding, Search
from service.tuning.trial import OPENVINO_RUNTIMES, Runtime

DEFAULT_FILE = Path("boxport.toml")
MAX_PHOTOS = 64  # sent in turn
INTERRUPTED = 130


class TuningError(Exception):
    """What cannot be tuned with; the message says what to do."""


def tune(
    folder: Path,
    slo_ms: float,
    names: list[str],
    seconds: float,
    output: Path | None,
    *,
    all_: bool,
) -> None:
    """Tune the models called ``names``, or all, and write what is found to the settings file.

    Raises SystemExit with one line for whatever is wrong.
    """
    console = Console(stderr=True)
    try:
        with one_line_errors(TuningError, PackageError, SettingsError, OSError, Problem):
            target = find_target(output)
            document = read_document(target)  # before minutes are spent
            settings = read_settings()
            photos = read_photos(folder, settings)
            packages = choose(settings.model_store, names)
            for package in packages:
                search = Search(package, photos, settings.cpus, slo_ms / 1000, seconds)
                search.runtimes = other_runtimes(read_manifest(package / MANIFEST_FILE))
                best = find_best(search, console, whole_grid=all_)
                models = document.setdefault("models", tomlkit.table(is_super_table=True))
                table = models.setdefault(search.model, tomlkit.table())
                table.update(best.choice.settings)
                if best.agreement is not None:
                    table["precision"].comment(agreed(best.agreement, len(photos)))
                write_document(target, document)
                show(console, best, search)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    print(target)
    console.print(f"Start the service with {FILE_VARIABLE}={target}")


def find_target(output: Path | None) -> Path:
    """The settings file to write; raises TuningError if that cannot be.

    One that is named and not there yet is made: until then there is none to read.
    """
    named = os.environ.get(FILE_VARIABLE)
    target = output or Path(named or DEFAULT_FILE)
    if named and Path(named) == target and not target.exists():
        del os.environ[FILE_VARIABLE]
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise TuningError(f"{target}: cannot be written; make its folder, or name another file")
    return target


def read_photos(folder: Path, settings: Settings) -> list[bytes]:
    """Files' bytes, each of which the service would decode; raises TuningError."""
    paths, note = select_photos(visible_files(folder), str)
    if note is not None:
        say(f"{folder}: {note}")
    if not paths:
        raise TuningError(f"{folder}: holds no photo; --photos names a folder of yours")
    photos = []
    for path in paths[:MAX_PHOTOS]:
        content = path.read_bytes()
        try:
            with open_image(content, settings.max_image_pixels) as image:
                image.load()
        except Problem as problem:
            raise TuningError(f"{path}: {problem.detail}") from problem
        photos.append(content)
    return photos


def choose(store: Path, names: list[str]) -> list[Path]:
    """The newest package of each model that is asked for; raises PackageError, TuningError."""
    newest: dict[str, Path] = {}
    packages = [candidate.folder for candidate in scan_store(store).values()]
    for package in sorted(packages, key=lambda path: int(path.name)):
        newest[package.parent.name] = package
    if missing := [name for name in names if name not in newest]:
        raise TuningError(f"{missing[0]}: is no model of {store}; there are {', '.join(newest)}")
    return [newest[name] for name in names or newest]


def find_best(search: Search, console: Console, *, whole_grid: bool) -> Finding:
    """Raises TuningError if no layout is within the bound."""
    most = search.most_measurements(whole_grid=whole_grid)
    with console.status(f"{search.model}: measuring") as status:
        began = time.monotonic()

        def report(finding: Finding) -> None:
            left = (time.monotonic() - began) / search.measured * (most - search.measured)
            line = f"{search.model}: {finding.choice}: {finding.value(search.slo):.1f} photos/s"
            line += f"; at most {duration(left)} left"
            if not sys.stderr.isatty():
                console.print(line, soft_wrap=True)
            status.update(line)

        search.on_finding = report
        best = search.measure_grid() if whole_grid else search.run()
    console.print(f"{search.model}: {len(search.findings)} choices were measured")
    if not best.value(search.slo):
        fastest = min(speed.p99 for found in search.findings.values() for speed in found.speeds)
        raise TuningError(
            f"{search.model}: no layout answers 99 of 100 photos within {search.slo * 1000:g} ms;"
            f" the best takes {fastest * 1000:.0f} ms. Allow more, or take a smaller model or its"
            " int8 package."
        )
    console.print(f"{search.model}: {beside_defaults(best, search)}")
    return best


def other_runtimes(manifest: ModelManifest) -> tuple[Runtime, ...]:
    """Those that a model can be run by here, beside ONNX Runtime."""
    if manifest.precision != "fp32" or not OPENVINO.is_available:
        return ()
    return OPENVINO_RUNTIMES if has_bf16() else OPENVINO_RUNTIMES[:1]


def agreed(share: float, photos: int) -> str:
    """What is written beside a precision, for those who read it later."""
    return f"agrees with float32 by {share:.1%}, on {photos} photos"


def duration(seconds: float) -> str:
    """Such as 3:20 min, or 40 s."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


def beside_defaults(best: Finding, search: Search) -> str:
    """What is gained by ``best``, in words."""
    default = search.findings[search.default]
    if best.choice == default.choice:
        return "nothing is worth changing the defaults for"
    if not default.value(search.slo):
        return "the defaults answer too slowly"
    return f"{best.value(search.slo) / default.value(search.slo):.2f} times what the defaults give"


def show(console: Console, best: Finding, search: Search) -> None:
    console.print(f"{search.model}: best is {best.choice}", soft_wrap=True)
    table = Table()
    for heading in ("callers", "photos/s", "p99 ms", f"within {search.slo * 1000:g} ms"):
        table.add_column(heading, justify="right")
    for speed in best.speeds:
        within = "yes" if speed.p99 <= search.slo else "no"
        table.add_row(
            str(speed.callers), f"{speed.per_second:.1f}", f"{speed.p99 * 1000:.1f}", within
        )
    console.print(table)


def read_document(path: Path) -> tomlkit.TOMLDocument:
    """The settings file, or an empty one; its comments stay. Raises TuningError."""
    if not path.exists():
        return tomlkit.document()
    try:
        return tomlkit.parse(path.read_text())
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise TuningError(f"{path}: is no TOML: {error}") from error


def write_document(path: Path, document: tomlkit.TOMLDocument) -> None:
    """Replace the file atomically: a reader sees the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(tomlkit.dumps(document))
    partial.replace(path)

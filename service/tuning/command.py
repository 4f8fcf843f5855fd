"""`python -m service tune`: find the settings that suit a machine, a model and photos."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tomlkit
from rich.console import Console
from rich.table import Table
from tomlkit.exceptions import TOMLKitError

from service.imaging.formats import select_photos
from service.imaging.images import open_image
from service.package import PackageError, find_packages
from service.problems import Problem
from service.settings import FILE_VARIABLE, Settings, SettingsError, read_settings
from service.tuning.layout import default_layout, grid, settings_of
from service.tuning.search import Finding, Search

DEFAULT_FILE = Path("boxport.toml")
MOST_PHOTOS = 64  # that are asked about in turn


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
    """Tune the models called ``names``, or all, and write what is found to the settings file."""
    console = Console(stderr=True)
    with told():
        settings = read_settings()
        photos = read_photos(folder, settings)
        packages = choose(settings.model_store, names)
        target = output or Path(os.environ.get(FILE_VARIABLE) or DEFAULT_FILE)
        document = read_document(target)  # before minutes are spent
        for package in packages:
            best = search_of(package, photos, settings.cpus, slo_ms, seconds, console, all_)
            enter(document, package.parent.name, best)
            write_document(target, document)
            show(console, package.parent.name, best, slo_ms)
    print(target)
    console.print(f"Start the service with {FILE_VARIABLE}={target}")


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong ends the command in one line."""
    try:
        yield
    except (TuningError, PackageError, SettingsError, OSError) as error:
        raise SystemExit(f"boxport: {error}") from error
    except Problem as problem:
        raise SystemExit(f"boxport: {problem.detail}") from problem
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def read_photos(folder: Path, settings: Settings) -> list[bytes]:
    """Files' bytes, each of which the service would decode; raises TuningError."""
    files = sorted(path for path in folder.rglob("[!.]*") if not path.is_dir())
    paths, note = select_photos(files, str)
    if note is not None:
        print(f"boxport: {folder}: {note}", file=sys.stderr)
    if not paths:
        raise TuningError(f"{folder}: holds no photo; --photos names a folder of yours")
    photos = []
    for path in paths[:MOST_PHOTOS]:
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
    for package in sorted(find_packages(store), key=lambda path: int(path.name)):
        newest[package.parent.name] = package
    if missing := [name for name in names if name not in newest]:
        raise TuningError(f"{missing[0]}: is no model of {store}; there are {', '.join(newest)}")
    return [newest[name] for name in names or newest]


def search_of(
    package: Path,
    photos: list[bytes],
    cpus: int,
    slo_ms: float,
    seconds: float,
    console: Console,
    all_: bool,
) -> Finding:
    """Raises TuningError if no layout is within the bound."""
    name = package.parent.name
    with console.status(f"{name}: measuring") as status:

        def tell(finding: Finding) -> None:
            value = finding.value(slo_ms / 1000)
            if not sys.stderr.isatty():
                console.print(f"{name}: {finding.layout}: {value:.1f} photos/s", soft_wrap=True)
            status.update(f"{name}: {finding.layout}: {value:.1f} photos/s")

        search = Search(package, photos, cpus, slo_ms / 1000, seconds, tell)
        best = search.measure_all(grid(cpus)) if all_ else search.run()
    console.print(f"{name}: {len(search.findings)} layouts were measured")
    if best.value(slo_ms / 1000) == 0:
        fastest = min(speed.p99 for found in search.findings.values() for speed in found.speeds)
        raise TuningError(
            f"{name}: no layout answers 99 of 100 photos within {slo_ms:g} ms; the best takes"
            f" {fastest * 1000:.0f} ms. Allow more, or take a smaller model or its int8 package."
        )
    console.print(f"{name}: {beside_defaults(best, search)}")
    return best


def beside_defaults(best: Finding, search: Search) -> str:
    """What is gained by ``best``, in words."""
    default = search.findings[default_layout(search.cpus)]
    if best.layout == default.layout:
        return "nothing is worth changing the defaults for"
    if not default.value(search.slo):
        return "the defaults answer too slowly"
    return f"{best.value(search.slo) / default.value(search.slo):.2f} times what the defaults give"


def show(console: Console, name: str, best: Finding, slo_ms: float) -> None:
    console.print(f"{name}: best is {best.layout}", soft_wrap=True)
    table = Table()
    for heading in ("callers", "photos/s", "p99 ms", f"within {slo_ms:g} ms"):
        table.add_column(heading, justify="right")
    for speed in best.speeds:
        within = "yes" if speed.p99 * 1000 <= slo_ms else "no"
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


def enter(document: tomlkit.TOMLDocument, name: str, best: Finding) -> None:
    """Put a layout into the tables of the settings file."""
    models = document.setdefault("models", tomlkit.table(is_super_table=True))
    table = models.setdefault(name, tomlkit.table())
    table.update(settings_of(best.layout))


def write_document(path: Path, document: tomlkit.TOMLDocument) -> None:
    """Replace the file at once, so that it is whole whenever somebody looks."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(tomlkit.dumps(document))
    partial.replace(path)

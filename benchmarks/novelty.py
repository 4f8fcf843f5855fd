"""How well companions tell photos that a model has not seen, and what they cost.

    python -m benchmarks.novelty PACKAGE --train DIR --val DIR [--autoencoder best.pth]

Distances are fitted to the photos of --train alone. AUROC is that of those of --val against photos
that nothing was fitted to or chosen by: scikit-image's textures, microscopy and a deep field of
galaxies, in parts; pages of text; noise; and photos of --val upside down and darkened.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import skimage
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.plots import COLOURS, STYLE
from benchmarks.precisions import open_predictor
from export.novelty.companion import CompanionJob, Measured, auroc, measure, read_photos
from export.novelty.unlike import unlike
from models.datasets.files import photos_below
from models.mahalanobis import Values
from models.vae import VIEW, Views, read_views
from service.imaging.files import read_image, read_photo
from service.imaging.resize import to_input
from service.imaging.views import view_of
from service.manifest import MANIFEST_FILE, read_manifest
from service.package import open_companion
from service.parameters import ClassifyParameters, DetectParameters
from service.repository.store import companion_of

SETS = {
    "textures": ("brick.png", "grass.png", "gravel.png"),
    "microscope": ("cell.png", "ihc.png", "microaneurysms.png", "retina.jpg"),
    "galaxies": ("hubble_deep_field.jpg",),
}
CHANGES = {"rendered text": "text", "noise": "noise", "upside down": "upside down"}
PARTS = 10  # of each of scikit-image's pictures
CHANGED = 200  # photos of each kind that is made of --val's
SEED = 20  # not the export's: other darkness, text and noise
RUNS, WARM_UP = 60, 10


def parts_of(names: Sequence[str]) -> Iterator[Image.Image]:
    """Each picture whole, and parts of it at random."""
    rng, folder = np.random.default_rng(SEED), Path(skimage.__file__).parent / "data"
    for name in names:
        picture = read_image(folder / name)
        yield picture
        for _ in range(PARTS - 1):
            width, height = (int(side * rng.uniform(0.4, 0.9)) for side in picture.size)
            left = int(rng.integers(0, picture.width - width + 1))
            top = int(rng.integers(0, picture.height - height + 1))
            yield picture.crop((left, top, left + width, top + height))


def measured_on_val(options: argparse.Namespace) -> list[Measured]:
    """Every measure, on the photos of --val and those unlike them."""
    spec = read_manifest(options.package / MANIFEST_FILE).input
    job = CompanionJob(options.package, options.train, autoencoder=options.autoencoder)

    def views(pictures: Iterator[Image.Image]) -> Views:
        return np.stack([view_of(to_input(one, spec), VIEW) for one in pictures])

    paths = list(photos_below(options.val))
    rest, changed = paths[CHANGED:], paths[:CHANGED]
    novel = {name: views(parts_of(names)) for name, names in SETS.items()}
    novel |= {name: views(unlike(changed, kind, SEED)) for name, kind in CHANGES.items()}
    novel["darkened to a fifth"] = (read_views(changed, spec, lambda _: None) * 0.2).astype(
        np.uint8
    )
    photos = read_photos(job, spec)
    usual = read_views(rest, spec, lambda _: None)
    return measure(job, replace(photos, measured=usual, unlike=novel))


def print_table(rows: Sequence[Measured]) -> None:
    """Markdown: a row for each kind, a column for each measure."""
    print("| kind | photos | " + " | ".join(one.measure for one in rows) + " |")
    print("|---|---|" + "---|" * len(rows))
    for kind, values in rows[0].unlike.items():
        figures = " | ".join(f"{one.by_kind[kind]:.3f}" for one in rows)
        print(f"| {kind} | {len(values)} | {figures} |")
    for title, left_out in (("mean of kinds", ()), ("the same, not upside down", ("upside down",))):
        means = [
            np.mean([v for kind, v in one.by_kind.items() if kind not in left_out]) for one in rows
        ]
        print(f"| {title} | | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    pooled = []
    for one in rows:
        together = [v for kind, v in one.unlike.items() if kind != "upside down"]
        pooled.append(f"{auroc(one.usual, np.concatenate(together)):.3f}")
    print(f"| all photos together, not upside down | | {' | '.join(pooled)} |")


def plot(usual: Values, unlike: Mapping[str, Values], path: Path) -> None:
    """The distances of the photos of --val, and of each kind of others, as one drawing."""
    kinds = {"photos like the training's": usual, **unlike}
    figure = Figure(figsize=(7, 0.5 * len(kinds)))
    axes = figure.subplots(len(kinds), 1, sharex=True)
    limit = np.quantile(usual, 0.95)
    edges = np.linspace(0, 4 * np.median(usual), 80)
    for row, (kind, values) in zip(axes, kinds.items(), strict=True):
        row.hist(np.clip(values, 0, edges[-1]), edges, color=COLOURS[0 if values is usual else 2])
        row.axvline(limit, color="#888888", linewidth=0.8)
        row.set_ylabel(kind, rotation=0, ha="right", va="center")
        row.set_yticks([])
        row.grid(visible=False)
    axes[-1].set_xlabel("Mahalanobis distance; the line is at a novelty of 0.95")
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def print_latency(package: Path, photos: Path) -> None:
    """Milliseconds of a run of one photo, without the companion and with it, in turns."""
    predictor, companion = open_predictor(package), open_companion(companion_of(package))
    kind = DetectParameters if predictor.manifest.task == "detection" else ClassifyParameters
    query = predictor.to_query(kind())
    images = [read_photo(path, predictor.manifest.input) for path in photos_below(photos)]
    alone, with_companion = [], []
    for i in range(RUNS + WARM_UP):
        image = images[i % len(images)]
        began = time.perf_counter()
        predictor.run([image], [query])
        run = time.perf_counter()
        companion.run({"images": view_of(image, companion.manifest.input)[None]})
        if i >= WARM_UP:
            alone.append(run - began)
            with_companion.append(time.perf_counter() - began)
    before, after = (1000 * statistics.median(times) for times in (alone, with_companion))
    ratio = statistics.median(b / a for a, b in zip(alone, with_companion, strict=True))
    print(f"{package}: {before:.2f} ms, with its companion {after:.2f} ms, {ratio:.3f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--autoencoder", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG to draw the first measure's distances in")
    options = parser.parse_args()
    measured = measured_on_val(options)
    print_table(measured)
    if options.plot is not None:
        plot(measured[0].usual, measured[0].unlike, options.plot)
    if companion_of(options.package).is_dir():
        print_latency(options.package, options.val)


if __name__ == "__main__":
    main()

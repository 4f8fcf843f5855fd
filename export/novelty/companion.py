"""Training photos -> the companion of a package, step by step."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from export.errors import ExportError
from export.exporter import TOOLS
from export.novelty.candidates import Candidate, auto_encoder, mahalanobis
from export.novelty.report import write_novelty_report
from export.novelty.unlike import KINDS, unlike
from export.onnx.graph import Normalise
from export.onnx.trace import OPSET, describe, to_onnx
from export.package_writer import write_package, written_aside
from export.parity.comparison import TOLERANCES
from export.parity.gate import check_parity
from export.parity.model import onnx_model, open_quietly, torch_model
from export.progress import SILENT, ProgressReporter
from models.checkpoint_file import find_weights
from models.datasets.content import ClassFolders, LabelledPhoto
from models.datasets.files import photos_below
from models.datasets.splits import hold_out
from models.mahalanobis import Labels, Values
from models.training.head.job import published_weights
from models.vae import VIEW, Views, read_views
from service.imaging.input_spec import InputSpec, Stretch
from service.imaging.resize import to_input
from service.imaging.views import view_of
from service.manifest import Measure, NoveltyManifest, PackageTask, Watched
from service.package import open_companion, verify_package
from service.provenance import Accuracy, Parity, Provenance
from service.repository.store import companion_of

FEWEST_PHOTOS = 20
SHARE = 0.1  # of the photos that is measured on, and of those that weights are fitted on
UNLIKE_PHOTOS = 150  # of each kind, at most
PARITY_PHOTOS = 8
QUANTILES = 201
YOURS = "yours"  # the kind of the owner's own photos


@dataclass(frozen=True)
class CompanionJob:
    """package: folder of the model's. photos: folder of those that it was trained on.

    output: ``…/<name>/<version>``; None for the folder where the service looks for it.
    features, weights: the classifier of the Mahalanobis distance, and its checkpoint if it is not
        the one that comes with training.
    autoencoder: a checkpoint of `python -m models.training autoencoder`.
    unlike: folder of photos that are to be called novel, to measure on beside those made here.
    licence: of the weights.
    """

    package: Path
    photos: Path
    output: Path | None = None
    features: str = "efficientnet_lite0"
    weights: Path | None = None
    autoencoder: Path | None = None
    unlike: Path | None = None
    licence: str = "unknown"


@dataclass(frozen=True)
class Photos:
    """Views of training photos: that distances are fitted to, with the classes ``labels``; that
    weights are fitted to; and that nothing is. unlike: of the last two, by kind."""

    fitted: Views
    labels: Labels | None
    weighed: Views
    measured: Views
    unlike_weighed: Mapping[str, Views]
    unlike: Mapping[str, Views]


@dataclass(frozen=True)
class Measured:
    """A candidate with one of its measures: the distances of the photos that nothing was fitted to,
    and of each kind of others."""

    candidate: Candidate
    measure: Measure
    usual: Values
    unlike: Mapping[str, Values]

    @property
    def by_kind(self) -> dict[str, float]:
        return {kind: auroc(self.usual, values) for kind, values in self.unlike.items()}

    @property
    def auroc(self) -> float:
        """The mean of the kinds: each counts as much, however many photos it has."""
        return float(np.mean(list(self.by_kind.values())))


class NoveltyGraph(nn.Module):
    """A candidate from pixels uint8 [N, H, W, 3] to distances float32 [N, M]."""

    def __init__(self, candidate: Candidate) -> None:
        super().__init__()
        self.normalise = Normalise(candidate.view)
        self.network = candidate.network

    def forward(self, images: Tensor) -> Tensor:
        distances: Tensor = self.network(self.normalise(images))
        return distances


@dataclass(frozen=True)
class _Traced:
    input: Stretch
    task: PackageTask = "novelty"


def write_companion(job: CompanionJob, progress: ProgressReporter = SILENT) -> NoveltyManifest:
    """Write the companion's package, or nothing. Raises ExportError, OutputError, CheckpointError,
    PhotoError, GraphError, ParityError or PackageError."""
    watched = verify_package(job.package)
    output = job.output or companion_of(job.package)
    with written_aside(output) as folder:  # first, so that a bad output is found at once
        photos = read_photos(job, watched.input, progress)
        measured = measure(job, photos, progress)
        for one in measured:
            progress.step(f"{one.measure}: AUROC {one.auroc:.3f}, {_listed(one.by_kind)}")
        best = max(measured, key=lambda one: one.auroc)
        progress.step(f"tracing the graph of {best.candidate.architecture}")
        graph = NoveltyGraph(best.candidate).eval().requires_grad_(False)
        model = to_onnx(_Traced(best.candidate.view), graph)
        progress.step("comparing the graph with PyTorch")
        views = list(photos.measured[:PARITY_PHOTOS])
        models = torch_model(graph), onnx_model(open_quietly(model))
        parity = check_parity("novelty", *models, views, TOLERANCES["fp32"], progress.update)
        content = model.SerializeToString()
        file = find_weights(best.candidate.weights)
        manifest = NoveltyManifest(
            name=output.parent.name,
            version=output.name,
            input=best.candidate.view,
            companion_of=Watched(name=watched.name, version=watched.version, sha256=watched.sha256),
            measures=best.candidate.measures,
            measure=best.measure,
            quantiles=tuple(np.quantile(best.usual, np.linspace(0, 1, QUANTILES)).tolist()),
            inputs=describe(model.graph.input),
            outputs=describe(model.graph.output),
            opset=OPSET,
            precision="fp32",
            sha256=hashlib.sha256(content).hexdigest(),
            provenance=Provenance(
                architecture=best.candidate.architecture,
                weights_file=file.name,
                weights_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
                licence=job.licence,
                tools={tool: version(tool) for tool in TOOLS},
            ),
            parity=Parity(**parity.model_dump()),
            accuracy=_accuracy(job, best, measured),
        )
        write_package(folder, content, manifest)
        open_companion(folder, threads=0)
        write_novelty_report(folder, best.usual, best.unlike, best.by_kind)
    return manifest


def auroc(usual: Values, novel: Values) -> float:
    """The share of pairs of a usual and a novel photo of which the novel one's distance is greater,
    ties by half: the area under the ROC curve (Mann and Whitney)."""
    ordered = np.sort(usual)
    below = np.searchsorted(ordered, novel, "left") + np.searchsorted(ordered, novel, "right")
    return float(below.mean() / (2 * len(ordered)))


def measure(
    job: CompanionJob, photos: Photos, progress: ProgressReporter = SILENT
) -> list[Measured]:
    """Every measure of every candidate, on photos that none was fitted to."""
    progress.step(f"fitting Gaussians of {job.features} to {len(photos.fitted)} photos")
    weights = job.weights or published_weights(job.features)
    found = [
        mahalanobis(
            job.features,
            weights,
            photos.fitted,
            photos.labels,
            photos.weighed,
            list(photos.unlike_weighed.values()),
        )
    ]
    if job.autoencoder is not None:
        found.append(auto_encoder(job.autoencoder, photos.fitted))
    rows: list[Measured] = []
    for candidate in found:
        usual = candidate.distances(photos.measured)
        novel = {kind: candidate.distances(views) for kind, views in photos.unlike.items()}
        for column, name in enumerate(candidate.measures):
            by_kind = {kind: values[:, column] for kind, values in novel.items()}
            rows.append(Measured(candidate, name, usual[:, column], by_kind))
    return rows


def read_photos(job: CompanionJob, spec: InputSpec, progress: ProgressReporter = SILENT) -> Photos:
    """What the job names, as a model sees it that reads ``spec``. Raises ExportError or
    PhotoError."""
    paths = list(photos_below(job.photos))
    if len(paths) < FEWEST_PHOTOS:
        raise ExportError(
            f"{job.photos}: holds {len(paths)} photos; a distribution takes {FEWEST_PHOTOS} at"
            " least, and hundreds to be of use: name the folder that the model was trained on"
        )
    all_of_them = ClassFolders(tuple(LabelledPhoto(path, 0) for path in paths), ((0, "photo"),))
    # the same as `python -m models.training autoencoder` holds out
    rest, measured = hold_out(all_of_them, SHARE)
    fitted, weighed = hold_out(rest, SHARE)
    done = 0

    def read(part: ClassFolders) -> Views:
        nonlocal done
        chosen = [photo.path for photo in part.photos]
        views = read_views(chosen, spec, lambda _: progress.update(done, len(paths)))
        done += len(chosen)
        return views

    progress.step(f"looking at {len(paths)} photos")
    views = [read(part) for part in (fitted, weighed, measured)]
    progress.step(f"making photos unlike them: {', '.join(KINDS)}")
    novel = _unlike(measured, spec)
    if job.unlike is not None:
        own = list(photos_below(job.unlike))
        if not own:
            raise ExportError(f"{job.unlike}: holds no photo")
        novel[YOURS] = read_views(own, spec, lambda _: None)
    labels = _labels([photo.path for photo in fitted.photos], job.photos)
    return Photos(views[0], labels, views[1], views[2], _unlike(weighed, spec), novel)


def _unlike(part: ClassFolders, spec: InputSpec) -> dict[str, Views]:
    paths = [photo.path for photo in part.photos[:UNLIKE_PHOTOS]]
    return {
        kind: np.stack([view_of(to_input(one, spec), VIEW) for one in unlike(paths, kind)])
        for kind in KINDS
    }


def _labels(paths: Sequence[Path], folder: Path) -> Labels | None:
    """The classes of photos that lie in a folder of each; None where some lie in none."""
    parts = [path.relative_to(folder).parts for path in paths]
    if any(len(one) < 2 for one in parts):
        return None
    return np.unique([one[0] for one in parts], return_inverse=True)[1].astype(np.int64)


def _accuracy(job: CompanionJob, best: Measured, measured: Sequence[Measured]) -> Accuracy:
    return Accuracy(
        data=f"photos held out of {job.photos.resolve().name}, and photos made unlike them",
        images=len(best.usual) + sum(map(len, best.unlike.values())),
        metrics={
            "auroc": round(best.auroc, 4),
            **{f"auroc_{one.measure}": round(one.auroc, 4) for one in measured},
        },
        classes={kind: round(value, 4) for kind, value in best.by_kind.items()},
    )


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in shares.items())

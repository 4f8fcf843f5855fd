"""A run of `python -m models.training autoencoder`: photos checked, seen small, and learnt."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.datasets.content import ClassFolders, DataError, LabelledPhoto
from models.datasets.files import photos_below
from models.datasets.splits import hold_out
from models.training.check import check_photos
from models.training.console import progress_bar, say
from models.training.data import summarise
from models.training.devices import Process, current_process
from models.training.loop import Trainer
from models.training.recipe import RECIPES, Precision, TrainingError
from models.training.reconstruction_task import ReconstructionTask
from models.vae import SETTINGS, SIDE, VIEW, AutoEncoder, Views, read_views
from service.imaging.input_spec import InputSpec
from service.manifest import MANIFEST_FILE, ManifestError, read_manifest

ALL = ((0, "photo"),)  # the class of every photo, as no class counts here


@dataclass(frozen=True)
class AutoEncoderJob:
    """What the options of `python -m models.training autoencoder` say: see there."""

    architecture: str
    photos: Path
    package: Path | None
    output: Path
    validation_share: float
    skip_bad: bool
    epochs: int
    batch_size: int
    learning_rate: float
    precision: Precision
    device: str | None
    seed: int


def run(job: AutoEncoderJob) -> None:
    """Train, and leave best.pth in the output. Raises one of `console.FAULTS`."""
    process = current_process(job.device)
    training, held_out = hold_out(_read_folder(job, process), job.validation_share)
    say(process, f"training on {len(training.photos)} photos, measuring on {len(held_out.photos)}")
    settings, spec = SETTINGS[job.architecture], _input_of(job)
    recipe = replace(
        RECIPES["small"],
        epochs=job.epochs,
        batch_size=job.batch_size,
        learning_rate=job.learning_rate,
        precision=job.precision,
        seed=job.seed,
    )
    job.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(job.seed)
    views = [_views_of(part, spec, process) for part in (training, held_out)]
    task = ReconstructionTask(settings, recipe, process, *views)
    trainer = Trainer(AutoEncoder(settings), job.architecture, task, recipe, process, job.output)
    with progress_bar(process) as progress:
        trainer.fit(progress)
    best = job.output / "best.pth"
    say(process, f"best lower bound {trainer.best:.3f} nats a value; weights in {best}. Then:")
    package = job.package or "model_store/NAME/VERSION"
    command = f"python -m export novelty {package} --photos {job.photos} --autoencoder {best}"
    say(process, f"  {command}")


def _read_folder(job: AutoEncoderJob, process: Process) -> ClassFolders:
    """The photos that can be read. Raises DataError."""
    paths = photos_below(job.photos)
    found = ClassFolders(tuple(LabelledPhoto(path, 0) for path in paths), ALL)
    if not found.photos:
        raise DataError(f"{job.photos}: holds no photo")
    with progress_bar(process) as progress:
        bar = progress.add_task("checking photos", total=len(found.photos))
        good, faults = check_photos(found, lambda done, _: progress.update(bar, completed=done))
    for line in summarise(faults):
        say(process, line)
    if faults and not job.skip_bad:
        raise DataError(f"{job.photos}: correct what is said above, or leave it out: --skip-bad")
    return good


def _input_of(job: AutoEncoderJob) -> InputSpec:
    """The input on which the photos are looked at. Raises TrainingError."""
    if job.package is None:
        return VIEW.model_copy(update={"height": 4 * SIDE, "width": 4 * SIDE})
    try:
        return read_manifest(job.package / MANIFEST_FILE).input
    except ManifestError as error:
        raise TrainingError(str(error)) from error


def _views_of(content: ClassFolders, spec: InputSpec, process: Process) -> Views:
    with progress_bar(process) as progress:
        bar = progress.add_task("looking at photos", total=len(content.photos))
        paths = [photo.path for photo in content.photos]
        return read_views(paths, spec, lambda n: progress.advance(bar, n))

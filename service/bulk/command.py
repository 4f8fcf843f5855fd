"""`python -m service.bulk`: a job from its photos to its results."""

import argparse

from service.bulk import cluster
from service.bulk.coco import write_coco
from service.bulk.errors import BulkError
from service.bulk.layout import Resources, resources_of
from service.bulk.listing import list_photos
from service.bulk.parameters import read_request
from service.bulk.parts import Parts
from service.bulk.progress import ProgressReporter
from service.bulk.target import check_new, open_target
from service.bulk.work import Work
from service.manifest import ManifestError
from service.package import PackageError
from service.problems import Problem
from service.settings import SettingsError, read_settings
from service.terminal import one_line_errors, say

INTERRUPTED = 130
ERRORS = (BulkError, PackageError, ManifestError, SettingsError, OSError, Problem)


def run(arguments: argparse.Namespace) -> None:
    """Answer the photos that have no answer yet, and put the results together.

    Raises SystemExit with one line for whatever is wrong, and when it is interrupted.
    """
    try:
        with one_line_errors(*ERRORS):
            run_job(arguments)
    except KeyboardInterrupt:
        say("stopped; the same command continues")
        raise SystemExit(INTERRUPTED) from None


def run_job(arguments: argparse.Namespace) -> None:
    settings = read_settings()
    request = read_request(settings, arguments.model, vars(arguments))
    target = open_target(arguments.output, arguments.input)
    if target.coco is not None and request.manifest.task != "detection":
        raise BulkError(
            f"{arguments.output}: COCO files hold detections, and {request.reference} gives none;"
            " --output names a folder for Parquet"
        )
    listing = list_photos(arguments.input, arguments.column, say)
    check_new(target, arguments.output)
    work = Work.begin(target.parts, listing, request, settings)
    progress = answer_missing(work, arguments)
    finish(work.parts, progress)
    if target.coco is not None:
        write_coco(work.parts, request.manifest, *target.coco)
    print(arguments.output)


def answer_missing(work: Work, arguments: argparse.Namespace) -> ProgressReporter:
    """Answer the shards that have no part, on the machines that ``arguments`` name."""
    missing = work.parts.missing()
    total = len(work.listing)
    progress = ProgressReporter(total, done=total - sum(map(work.parts.size, missing)))
    if not missing:
        return progress
    say(f"{total} photos, {work.request.reference}, {len(missing)} shards to do")
    wanted = work.settings.for_model(work.job.model.name)
    with cluster.connect(arguments.address, work.request.model_bytes):
        nodes = cluster.nodes()
        resources = resources_of(wanted, nodes, arguments.actor_cpus, arguments.actor_gpus)
        check_room(resources, arguments.address)
        shards, task = work.shards(missing), work.task(resources)
        with progress.shown():
            for outcome in cluster.answer(shards, task, resources, arguments.max_actors):
                progress.add(outcome)
    return progress


def check_room(resources: Resources, address: str | None) -> None:
    """Raise BulkError if an actor never fits on this machine; a cluster may still grow."""
    if cluster.room(resources):
        return
    asked = f"an actor takes {resources.cpus} processors and {resources.gpus:g} GPUs"
    if address is None:
        raise BulkError(f"{asked}, more than this machine has; lower --actor-cpus or --actor-gpus")
    say(f"{asked}; no node of {address} has them yet, the job waits for one")


def finish(parts: Parts, progress: ProgressReporter) -> None:
    """Check that every photo has its row, and print a summary; raises BulkError."""
    if missing := parts.missing():
        raise BulkError(
            f"{parts.folder.uri}: {len(missing)} of {parts.shards} shards have no result; the same"
            " command continues"
        )
    count = parts.count(range(parts.shards))
    parts.finish()
    now = progress.count.photos
    say(
        f"{count.photos} photos: {count.photos - count.failed} answered, {count.failed} with an"
        f" error; {now} of them now"
        + (f", in {progress.seconds:.1f} s, {progress.per_second:.1f}/s" if now else "")
    )

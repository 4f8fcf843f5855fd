"""`python -m service.bulk`: a job from its photos to its results."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from service.bulk import cluster
from service.bulk.coco import write_coco
from service.bulk.faults import BulkError, one_line
from service.bulk.layout import Needs, needs_of
from service.bulk.listing import list_photos
from service.bulk.parts import Parts
from service.bulk.progress import Pace, Told
from service.bulk.question import read_question
from service.bulk.target import check_new, open_target
from service.bulk.work import Work
from service.manifest import ManifestError
from service.package import PackageError
from service.problems import Problem
from service.settings import SettingsError, read_settings

INTERRUPTED = 130
PARAMETERS = (
    "score_threshold",
    "iou_threshold",
    "class_agnostic",
    "max_detections",
    "labels",
    "top_k",
)


def run(arguments: argparse.Namespace) -> None:
    """Answer the photos that have no answer yet, and put the results together."""
    with one_line_errors():
        settings = read_settings()
        options = {name: getattr(arguments, name) for name in PARAMETERS}
        question = read_question(settings, arguments.model, options)
        target = open_target(arguments.output, arguments.input)
        if target.coco is not None and question.manifest.task != "detection":
            raise BulkError(
                f"{arguments.output}: COCO files hold detections, and {question.reference} gives"
                " none; --output names a folder for Parquet"
            )
        listing = list_photos(arguments.input, arguments.column, say)
        check_new(target, arguments.output)
        work = Work.begin(target.parts, listing, question, settings)
        pace = answer_rest(work, arguments)
        finish(work.parts, pace)
        if target.coco is not None:
            write_coco(work.parts, question.manifest, *target.coco)
        print(arguments.output)


def answer_rest(work: Work, arguments: argparse.Namespace) -> Pace:
    """Answer the shards that have no part, on the machines that ``arguments`` name."""
    missing = work.parts.missing()
    if not missing:
        return Pace()
    total = len(work.listing)
    say(f"{total} photos, {work.question.reference}, {len(missing)} shards to do")
    wanted = work.settings.for_model(work.job.model.name)
    with cluster.connect(arguments.address, work.question.model_bytes):
        needs = needs_of(wanted, cluster.nodes(), arguments.actor_cpus, arguments.actor_gpus)
        check_room(needs, arguments.address)
        told = Told(total, done=total - sum(map(work.parts.size, missing)))
        with told.shown():
            for outcome in cluster.answer(
                work.shards(missing), work.order(needs), needs, arguments.max_actors
            ):
                told.add(outcome)
        return told.pace


def check_room(needs: Needs, address: str | None) -> None:
    if cluster.room(needs):
        return
    asked = f"an actor takes {needs.cpus} processors and {needs.gpus:g} GPUs"
    if address is None:
        raise BulkError(f"{asked}, which this machine has not; --actor-cpus, --actor-gpus say less")
    say(f"{asked}; no node of {address} has them yet, the job waits for one")


def finish(parts: Parts, pace: Pace) -> None:
    """See that every photo has its row, and say what came of them."""
    if missing := parts.missing():
        raise BulkError(
            f"{parts.folder.uri}: {len(missing)} of {parts.shards} shards have no result; the same"
            " command goes on"
        )
    count = parts.count(range(parts.shards))
    parts.finish()
    here = pace.count.photos
    say(
        f"{count.photos} photos: {count.photos - count.failed} answered, {count.failed} with an"
        f" error; {here} of them now"
        + (f", in {pace.seconds:.1f} s, {pace.per_second:.1f}/s" if here else "")
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What goes wrong ends the command in one line."""
    try:
        yield
    except (BulkError, PackageError, ManifestError, SettingsError, OSError) as error:
        raise SystemExit(f"boxport: {one_line(error)}") from error
    except Problem as problem:
        raise SystemExit(f"boxport: {problem.detail}") from problem
    except KeyboardInterrupt:
        say("stopped; the same command goes on")
        raise SystemExit(INTERRUPTED) from None


def say(sentence: str) -> None:
    print(f"boxport: {sentence}", file=sys.stderr)

"""`boxport detect`"""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from boxport_client import BoxportError, Client
from boxport_client.cli import _options as given
from boxport_client.cli._layouts import DETECTIONS, TWO_STAGES
from boxport_client.cli._outputs import CocoFile, chosen_outputs, open_output
from boxport_client.cli._pictures import DrawnPictures
from boxport_client.cli._run import Run
from boxport_client.cli._settings import find_service
from boxport_client.cli._sources import find_sources

Coco = Annotated[
    str | None,
    given.output(
        "--coco",
        "FILE",
        "Write one COCO file of all photos, as pycocotools reads it. File names are relative to the"
        " folder if a single folder is given.",
    ),
]
Save = Annotated[
    Path | None,
    given.output("--save", "DIR", "Draw the boxes on copies of the photos in this folder."),
]


def detect(
    photos: given.Photos,
    model: given.Model = None,
    score_threshold: given.ScoreThreshold = None,
    iou_threshold: given.IouThreshold = None,
    class_agnostic: given.ClassAgnostic = False,
    max_detections: given.MaxDetections = None,
    label: given.Labels = None,
    region: given.LookAt = None,
    then: given.Then = None,
    top_k: given.ThenTopK = None,
    region_padding: given.RegionPadding = None,
    region_resize: given.RegionResize = None,
    novelty: given.Novelty = False,
    max_side: given.MaxSide = None,
    tile: given.Tile = None,
    overlap: given.Overlap = 0.2,
    as_json: given.AsJson = False,
    csv: given.Csv = None,
    coco: Coco = None,
    save: Save = None,
    journal: given.Journal = None,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    ca_file: given.CaFile = None,
    timeout: given.Timeout = 30.0,
    retries: given.Retries = 3,
    concurrency: given.Concurrency = 4,
) -> None:
    """Find the objects in photos.

    A terminal gets a table, a pipe JSON lines: one object per photo, with
    "detections" or, if it failed, "error". Boxes are left, top, right, bottom
    in pixels of the upright photo.

    \b
      boxport detect cat.jpg
      boxport detect holiday/ 'archive/**/*.png' --save drawn/
      boxport detect shop/ --label person --score-threshold 0.5 --csv people.csv
      boxport detect val/ --score-threshold 0.01 --coco detections.json
      boxport detect aerial.tif --tile 640
      boxport detect pets/ --then efficientnet_lite0_imagenet --csv breeds.csv
      boxport detect gate.jpg --model rcnn --region 0,80,320,400
      boxport detect archive/ --journal archive.journal > answers.jsonl
      camera-shot | boxport detect - | jq '.detections[].label'

    Ctrl-C keeps what is done: files hold the results so far, and pictures are
    complete. With --journal the same command resumes the run.

    \b
    Exit status: 0 all photos were answered, 1 some failed, 2 wrong usage or
    setting, 3 the service cannot be reached or refuses, 130 interrupted.
    """
    service = find_service(url, api_key, profile, ca_file)
    sources = find_sources(photos, leave_out=save)
    is_folder = len(photos) == 1 and Path(photos[0]).is_dir()
    layout = DETECTIONS if then is None else TWO_STAGES
    with ExitStack() as stack:
        client = stack.enter_context(service.client(timeout, retries))
        outputs, with_table = chosen_outputs(stack, sources, layout, as_json, csv)
        if coco is not None:
            outputs.append(
                CocoFile(
                    stack.enter_context(open_output("--coco", coco, sources)),
                    lambda source: source.inner.as_posix() if is_folder else source.name,
                    lambda name: _labels_of(client, name),
                )
            )
        if save is not None:
            outputs.append(DrawnPictures(save, sources))
        run = Run(sources, layout, outputs, with_table)
        status = run.take(
            client.detect_many(
                [source.photo for source in sources],
                concurrency=concurrency,
                journal=journal,
                model=model,
                score_threshold=score_threshold,
                iou_threshold=iou_threshold,
                class_agnostic=class_agnostic or None,
                max_detections=max_detections,
                labels=label or None,
                regions=given.read_regions(region),
                then=then,
                top_k=top_k,
                region_padding=region_padding,
                region_resize=region_resize,
                novelty=novelty or None,
                max_side=max_side,
                tile=tile,
                overlap=overlap,
            )
        )
    raise typer.Exit(status)


def _labels_of(client: Client, name: str) -> dict[int, str]:
    """Every label of a model by its id; none if the service does not say."""
    try:
        return {label["id"]: label["name"] for label in client.model(name).manifest["labels"]}
    except (BoxportError, KeyError, TypeError):
        return {}

"""`boxport video`"""

import json
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from boxport_client import VideoFrame
from boxport_client.cli import _options as given
from boxport_client.cli._atomic_file import put_in_place
from boxport_client.cli._exit_status import ALL_ANSWERED, BROKEN_PIPE
from boxport_client.cli._interruption import Interrupted, Interruptions
from boxport_client.cli._pictures import SAVE_OPTIONS
from boxport_client.cli._settings import find_service
from boxport_client.cli._terminal import counted, printable, say_error, shows_table, stdout

Source = Annotated[
    str,
    typer.Argument(
        metavar="VIDEO",
        help="A video's file, a stream's URL such as rtsp://, or a camera's number.",
        show_default=False,
    ),
]
Every = Annotated[int, given.request("--every", "N", "Send every Nth frame only.", min=1)]
Save = Annotated[
    Path | None,
    given.output("--save", "DIR", "Draw the boxes on the frames, as JPEG files in this folder."),
]
AsJson = Annotated[
    bool, given.output("--json", None, "Write JSON lines in a terminal too: one object per frame.")
]


def video(
    source: Source,
    every: Every = 1,
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
    max_side: given.MaxSide = None,
    tile: given.Tile = None,
    overlap: given.Overlap = 0.2,
    as_json: AsJson = False,
    save: Save = None,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    ca_file: given.CaFile = None,
    timeout: given.Timeout = 30.0,
    retries: given.Retries = 3,
    concurrency: given.Concurrency = 4,
) -> None:
    """Find the objects in the frames of a video.

    A terminal gets a line per frame, a pipe JSON lines: one object per frame,
    with its number, its time in seconds, and "detections".

    \b
      boxport video film.mp4 --every 10
      boxport video film.mp4 --label person | jq 'select(.detections != []) | .seconds'
      boxport video rtsp://camera.example/1 --every 25 --save frames/
      boxport video 0                     the first camera, until Ctrl-C

    Needs a decoder: pip install 'boxport-client\\[cli,video]'

    \b
    Exit status: 0 all frames were answered, 2 wrong usage or setting, or no
    video, 3 the service cannot be reached or refuses, 130 interrupted.
    """
    with find_service(url, api_key, profile, ca_file).client(timeout, retries) as client:
        frames = client.detect_video(
            _camera(source),
            concurrency=concurrency,
            every=every,
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
            max_side=max_side,
            tile=tile,
            overlap=overlap,
        )
        raise typer.Exit(_take(frames, source, save, shows_table(as_json)))


def _camera(source: str) -> str | int:
    """A number is a camera's, unless a file has it for a name."""
    return int(source) if source.isdecimal() and not Path(source).exists() else source


def _take(
    frames: Generator[VideoFrame, None, None], source: str, save: Path | None, for_person: bool
) -> int:
    """Write each frame's objects, and return the exit status."""
    begin, number, end = time.monotonic(), 0, None
    labels: Counter[str] = Counter()
    with Interruptions() as interruptions, closing(frames):
        try:
            for frame in frames:
                with interruptions.held_back():
                    _write(frame, source, for_person)
                    if save is not None:
                        _draw(frame, save)
                    number += 1
                    labels.update(frame.result.counts)
        except Interrupted as interrupted:
            end = interrupted
        except BrokenPipeError:
            return BROKEN_PIPE
    if for_person and number:
        seconds = time.monotonic() - begin
        speed = f"{seconds:.1f} s ({number / max(seconds, 1e-9):.1f} frames/s)"
        found = _listed(labels) if labels else "nothing found"
        stdout.print(Text(f"{counted(number, 'frame')}; {found}; {speed}"), soft_wrap=True)
    if end is None:
        return ALL_ANSWERED
    say_error(f"interrupted after {counted(number, 'frame')}")
    return end.status


def _write(frame: VideoFrame, source: str, for_person: bool) -> None:
    if for_person:
        found = _listed(frame.result.counts)
        stdout.print(Text(f"{frame.seconds:8.2f} s  {found}"), soft_wrap=True)
        return
    place = {"video": source, "frame": frame.index, "seconds": round(frame.seconds, 3)}
    sys.stdout.write(json.dumps({**place, **frame.result.to_dict()}) + "\n")
    sys.stdout.flush()


def _draw(frame: VideoFrame, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with put_in_place(folder / f"{frame.index:06}.jpg") as path:
        frame.result.draw(frame.picture).save(path, "JPEG", **SAVE_OPTIONS["JPEG"])


def _listed(counts: dict[str, int]) -> str:
    """ "2 person, 1 dog" """
    return ", ".join(f"{number} {printable(label)}" for label, number in counts.items())

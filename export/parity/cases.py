"""What the gate compares on: photos, and images and thresholds that are likely to break a graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from export.parity.model import GREY, Feeds, Image, Model, feeds_of, stack
from service.imaging.input_spec import Letterbox
from service.imaging.resize import to_input

BATCH_SIZES = (1, 2, 7)
SCORE_THRESHOLD = 0.05  # low, so that many detections are compared
IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 100
FEW_DETECTIONS = (3, 1)
MANY_DETECTIONS = 400  # more than any request asks for by default
EVERYTHING = 2**31 - 1  # detections: more than any graph can give
IOU_THRESHOLDS = (0.3, 0.7, 0.95)  # beside `IOU_THRESHOLD`, 0 and 1
LARGE_BATCH = 12  # beyond `BATCH_SIZES`: nothing may depend on where a batch is expected to end
SAMPLE = 4  # photos that the hard cases are made from
TILES = 4  # along each side
TURNS = 4  # of one photo, by mirroring


@dataclass(frozen=True)
class Case:
    """A batch uint8 [N, H, W, 3] to compare on, and a detector's settings.

    name: the kind of case, as the manifest lists it. detail: which of its kind, for messages.
    """

    name: str
    images: Image
    detail: str = ""
    score_threshold: float = SCORE_THRESHOLD
    iou_threshold: float = IOU_THRESHOLD
    max_detections: int = MAX_DETECTIONS
    class_agnostic: bool = False

    def __str__(self) -> str:
        return self.name + self.detail

    def feeds(self, inputs: Sequence[str]) -> Feeds:
        """What a graph with these ``inputs`` is given."""
        return feeds_of(
            inputs,
            self.images,
            self.score_threshold,
            self.iou_threshold,
            self.max_detections,
            self.class_agnostic,
        )


def photo_cases(photos: Sequence[Image]) -> Iterator[Case]:
    """Every photo, at each of `BATCH_SIZES`; the last batch of a size is filled from the start."""
    for size in BATCH_SIZES:
        for start in range(0, len(photos), size):
            chosen = [photos[(start + i) % len(photos)] for i in range(size)]
            yield Case(f"photos at batch {size}", stack(chosen), f", from photo {start}")


def image_cases(photos: Sequence[Image]) -> list[Case]:
    """Images that are hard for any network."""
    sample = photos[:SAMPLE]
    return [
        Case("objects cut by the photo's border", stack(cut_photos(sample))),
        Case("portrait, landscape, panorama and tiny photos", stack(shaped_photos(sample))),
        Case("black, white and noise", stack(empty_images(sample[0]))),
        Case("a batch beyond those promised", stack(distinct_images(photos, LARGE_BATCH))),
    ]


def detector_cases(reference: Model, photos: Sequence[Image]) -> list[Case]:
    """Cases that only a detector has: each run-time input over its whole range. Runs ``reference``
    once, to learn which scores to expect."""
    sample = list(photos[:SAMPLE])
    flat = flat_images(sample[0])
    everything = Case("", stack([*sample, *flat]), "", 0.0, 1.0, MANY_DETECTIONS, True)
    scores = reference.run(everything.feeds(reference.inputs))[2]  # float32 [N, K], the best first
    best = scores[:, 0]
    of_photos, of_flat = np.sort(best[: len(sample)]), best[len(sample) :]
    middle = float(of_photos[(len(sample) - 1) // 2] + of_photos[len(sample) // 2]) / 2
    above_all = float(of_photos[-1] + 1) / 2
    few = float(best[:2].min()) / 10
    last = float(scores[0, -1])  # that which `MANY_DETECTIONS` of the first photo's anchors reach
    one, two, whole = stack(sample[:1]), stack(sample[:2]), stack(sample)
    return [
        Case(
            "flat and tiled images, whose anchors tie",
            stack(flat),
            score_threshold=float(of_flat.min()) / 2,
        ),
        *(
            Case("more objects than are asked for", two, f", {n} of them", few, max_detections=n)
            for n in FEW_DETECTIONS
        ),
        Case("no detection in any photo", two, score_threshold=above_all),
        Case(
            "photos with and without detections", stack([*sample, flat[0]]), score_threshold=middle
        ),
        Case("suppression across classes", whole, class_agnostic=True),
        Case("any score, and no overlap at all", one, "", 0.0, 0.0),
        *(
            Case("overlaps that are allowed", one, f" up to {iou}", iou_threshold=iou)
            for iou in IOU_THRESHOLDS
        ),
        Case("all that is found, by class", one, "", last, 1.0, EVERYTHING),
        Case("all that is found, of any class", one, "", last, 1.0, EVERYTHING, True),
    ]


def distinct_images(photos: Sequence[Image], count: int) -> list[Image]:
    """``count`` images that all differ, of one size: photos, the same mirrored, upside down, both,
    and all of these in negative. Of photos that vary in size those like the first, at half size:
    what a batch does to its images is the same at any."""
    first = photos[0]
    alike = [photo for photo in photos if photo.shape == first.shape]
    if len(alike) < len(photos):
        alike = [shrunk(photo, 2) for photo in alike]
    images = []
    for number in range(count):
        turn, place = divmod(number, len(alike))
        image = alike[place][:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]
        if turn >= TURNS:
            image = np.roll(255 - image, turn // TURNS - 1, axis=0)
        images.append(np.ascontiguousarray(image))
    return images


def cut_photos(photos: Sequence[Image]) -> list[Image]:
    """Photos without their left and upper, or their right and lower, third."""
    first, last = photos[0], photos[-1]
    height, width = first.shape[0] // 3, first.shape[1] // 3
    return [
        fitted(first[height:, width:], first),
        fitted(last[: last.shape[0] - height, : last.shape[1] - width], last),
    ]


def shaped_photos(photos: Sequence[Image]) -> list[Image]:
    """Photos of several aspect ratios, letterboxed to one size as the service does it."""
    first, last = photos[0], photos[-1]
    height, width = first.shape[:2]
    return [
        fitted(first[:, width // 3 : 2 * width // 3], first),
        fitted(last[last.shape[0] // 4 : 3 * last.shape[0] // 4], first),
        fitted(first[2 * height // 5 : 3 * height // 5], first),
        fitted(shrunk(last, 16), first),
    ]


def empty_images(like: Image) -> list[Image]:
    """Images without objects: black, white, and noise that is the same at every export."""
    noise = np.random.default_rng(0).integers(0, 256, like.shape, dtype=np.uint8)
    return [np.zeros_like(like), np.full_like(like, 255), noise]


def flat_images(photo: Image) -> list[Image]:
    """Images that look the same in many places: one grey, one tiled with small copies."""
    height, width = photo.shape[:2]
    tiled = np.tile(shrunk(photo, TILES), (TILES + 1, TILES + 1, 1))
    return [np.full_like(photo, GREY), tiled[:height, :width]]


def fitted(photo: Image, like: Image) -> Image:
    """``photo`` letterboxed to the size of ``like``."""
    height, width = like.shape[:2]
    spec = Letterbox(
        height=height,
        width=width,
        interpolation="bilinear",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    return to_input(PillowImage.fromarray(photo), spec).pixels


def shrunk(photo: Image, factor: int) -> Image:
    """``photo`` with each side divided by ``factor``."""
    height, width = (max(1, -(-side // factor)) for side in photo.shape[:2])
    return np.asarray(PillowImage.fromarray(photo).resize((width, height)), dtype=np.uint8)

"""Training an R-CNN: linear SVMs and box regressions on the features of regions.

arXiv 1311.2524, section 2.3 and appendices A to C: what is trained on are the objects' own boxes
against proposals that overlap none of them by `BACKGROUND_IOU`, hard ones in rounds; the boxes of
each class are moved by a ridge regression, fitted on proposals that overlap an object by
`NEAR_IOU`.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from torch import Tensor

from models.boxes import box_iou
from models.datasets.content import Annotations, Photo
from models.evaluation import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_FLOOR, BoxRow
from models.postprocess import decode_given_regions, select_detections
from models.rcnn import RCNN
from models.training.dataset import normalise, stack
from models.training.detection_task import to_rows
from models.training.head.linear import BACKGROUND, FOLDS, Fit, Scaling, Values
from models.training.head.views import BACKGROUND_IOU, View, boxes_of
from models.training.recipe import TrainingError
from service.imaging.files import read_image, read_photo
from service.imaging.input_spec import Letterbox
from service.imaging.proposals import NoProposals, propose

NEAR = -2  # the label of what is only regressed from
NEAR_IOU = 0.6  # section C
NEAR_A_PHOTO = 5
# Photos whose proposals are trained on; of the others the objects are. Proposals are many, and the
# features of all take hours.
PROPOSING_PHOTOS = 300
PENALTIES = (0.01, 0.1, 1.0, 10.0)  # of the ridge regressions, on features of length 1
FEWEST_REGRESSED = 5  # regions of a class, below which its boxes stay as they are


@dataclass(frozen=True)
class Nearby(View):
    """A proposal near an object: of which class, and its box, to which it is to be moved."""

    thing: int = 0
    target: tuple[float, float, float, float] = field(default=(0.0, 0.0, 0.0, 0.0))


class RegionExtractor:
    """The features of boxes of photos by an R-CNN."""

    def __init__(
        self, network: RCNN, spec: Letterbox, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.network, self.spec, self.device, self.dtype = network, spec, device, dtype
        network.to(device, memory_format=torch.channels_last).eval()

    def features(self, views: Sequence[View], on_progress: Callable[[int], None]) -> Values:
        """Float32 [N, D] of ``views``, those of a photo one after the other. Raises PhotoError."""
        rows = []
        for path, group in groupby(views, key=lambda view: view.path):
            photo = read_photo(path, self.spec)
            boxes = np.array([view.box for view in group], dtype=np.float32)
            regions = torch.from_numpy(photo.placement.apply(boxes))[None]
            with torch.inference_mode(), self.autocast():
                found = self.network.region_features(self.inputs([photo]), regions.to(self.device))
            rows.append(found[0].float().cpu().numpy())
            on_progress(len(boxes))
        return np.concatenate(rows)

    def inputs(self, photos: Sequence[object]) -> Tensor:
        return normalise(stack(photos).to(self.device), self.spec)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def views_of_regions(
    content: Annotations, background: int, seed: int, on_progress: Callable[[int], None]
) -> list[View]:
    """Of each photo its objects; of the first `PROPOSING_PHOTOS` also up to `NEAR_A_PHOTO`
    proposals near them, and up to ``background`` beside them.

    Raises PhotoError, or TrainingError where nothing proposes regions.
    """
    of_photo: dict[object, list[View]] = {photo.path: [] for photo in content.photos}
    for view in boxes_of(content):
        of_photo[view.path].append(view)
    for i, photo in enumerate(content.photos):
        if i == PROPOSING_PHOTOS:
            break
        rng = random.Random(f"{seed}/{photo.path.name}")
        of_photo[photo.path] += _proposed(photo, i % FOLDS, background, rng)
        on_progress(1)
    return [view for views in of_photo.values() for view in views]


def regress(
    coder: object, features: Values, views: Sequence[View], classes: int
) -> tuple[Values, Values]:
    """Weight [C * 4, D] and bias [C * 4] of the deltas that move boxes onto their objects."""
    near = [(row, v) for row, v in zip(features, views, strict=True) if isinstance(v, Nearby)]
    weight = np.zeros((classes, 4, features.shape[1]))
    bias = np.zeros((classes, 4))
    for label in range(classes):
        rows = [(row, view) for row, view in near if view.thing == label]
        if len(rows) < FEWEST_REGRESSED:
            continue
        x = np.stack([row for row, _ in rows]).astype(np.float64)
        boxes = torch.tensor([view.box for _, view in rows])
        targets = torch.tensor([view.target for _, view in rows])
        scaling = Scaling.of(x)
        scaled = (x - scaling.mean) * scaling.factor
        fitted = RidgeCV(PENALTIES).fit(scaled, coder.encode(targets, boxes).numpy())
        weight[label] = fitted.coef_ * scaling.factor
        bias[label] = fitted.intercept_ - weight[label] @ scaling.mean
    return weight.reshape(-1, features.shape[1]), bias.reshape(-1)


def set_layers(network: RCNN, fitted: Fit, deltas: tuple[Values, Values]) -> None:
    """Give ``network`` what was fitted."""
    classifier = fitted.classifier
    for layer, (weight, bias) in (
        (network.class_logits, (classifier.weight, classifier.bias)),
        (network.deltas, deltas),
    ):
        layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})


def detect(
    extract: RegionExtractor, content: Annotations, on_progress: Callable[[int], None]
) -> tuple[list[BoxRow], dict[str, float]]:
    """What the network finds among the proposals of ``content``'s photos, and the mean number of
    these and the seconds of a photo."""
    rows: list[BoxRow] = []
    thresholds = tuple(map(torch.tensor, (SCORE_FLOOR, IOU_THRESHOLD, MAX_DETECTIONS)))
    network, regions, began = extract.network, 0, time.process_time()
    for photo in content.photos:
        proposed = _propose(photo)
        regions += len(proposed)
        image = read_photo(photo.path, extract.spec)
        boxes = torch.from_numpy(image.placement.apply(proposed))[None].to(extract.device)
        with torch.inference_mode():
            images = extract.inputs([image])
            with extract.autocast():
                features = network.region_features(images, boxes).float()
            logits, deltas = network.class_logits(features), network.deltas(features)
            scores, moved = decode_given_regions(
                logits, deltas.unflatten(-1, (-1, 4)), boxes, network.box_coder, *images.shape[-2:]
            )
            number, *found = select_detections(scores.cpu(), moved.cpu(), *thresholds)
        shown = (values[0, : int(number)] for values in found)
        rows += to_rows(content.categories, photo.image_id, image.placement, *shown)
        on_progress(1)
    photos = max(len(content.photos), 1)
    return rows, {
        "proposals a photo": regions / photos,
        "processor seconds a photo": (time.process_time() - began) / photos,
    }


def _propose(photo: Photo) -> NDArray[np.float32]:
    try:
        return propose(np.asarray(read_image(photo.path)))
    except NoProposals as error:
        raise TrainingError(f"{error}") from error


def _proposed(photo: Photo, fold: int, background: int, rng: random.Random) -> list[View]:
    """Proposals near an object that is learned, and beside all objects."""
    boxes = torch.from_numpy(_propose(photo))
    everything = torch.tensor([photo.clip(thing.box) for thing in photo.objects]).reshape(-1, 4)
    beside = (box_iou(boxes, everything) < BACKGROUND_IOU).all(dim=1).nonzero()[:, 0].tolist()
    chosen = rng.sample(beside, min(background, len(beside)))
    views: list[View] = [
        View(photo.path, BACKGROUND, fold, tuple(boxes[i].tolist())) for i in chosen
    ]
    if not photo.learned:
        return views
    overlaps, nearest = box_iou(boxes, photo.boxes).max(dim=1)
    near = (overlaps >= NEAR_IOU).nonzero()[:, 0].tolist()
    for i in rng.sample(near, min(NEAR_A_PHOTO, len(near))):
        thing = int(nearest[i])
        target = tuple(photo.boxes[thing].tolist())
        label = photo.learned[thing].label
        views.append(
            Nearby(photo.path, NEAR, fold, tuple(boxes[i].tolist()), thing=label, target=target)
        )
    return views

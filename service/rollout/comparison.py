"""What two versions answered to one photo, compared as the parity gate and evaluation compare."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.inference.task import Result, Row
from service.manifest import ModelManifest
from service.matching import SAME_OBJECT, Detections, agreement, match
from service.rollout.statistics import Tally, clusters, moments

ROWS = {"detection": "detections", "classification": "classifications"}
UNKNOWN = -1_000_000  # ids of labels that the other version does not have lie below


def compare(tally: Tally, manifest: ModelManifest, candidate: Result, baseline: Result) -> None:
    """Count how the two results differ. ``manifest`` is the baseline's."""
    names = {label.id: label.name for label in manifest.labels}
    rows_name = ROWS[manifest.task]
    own, other = (_aligned(result[rows_name], names) for result in (candidate, baseline))
    tally.photos += (1, 0, 0)
    tally.agreement += clusters(*agreement(manifest.task, own, other))
    if manifest.task == "classification":
        _compare_classes(tally, own, other)
    else:
        _compare_detections(tally, own, other)


def _aligned(rows: Sequence[Row], names: Mapping[int, str]) -> list[Row]:
    """``rows`` with ids that mean the same labels as in ``names``: a version may call one of them
    otherwise."""
    return [
        row
        if names.get(row["label_id"]) == row["label"]
        else {**row, "label_id": UNKNOWN - abs(row["label_id"])}
        for row in rows
    ]


def _compare_classes(tally: Tally, own: Sequence[Row], other: Sequence[Row]) -> None:
    """The best class is what is relabelled; scores are those of classes that both show."""
    same = own[0]["label_id"] == other[0]["label_id"]
    tally.relabelled += clusters(int(not same), 1)
    scores = {row["label_id"]: row["score"] for row in other}
    for row in own:
        if row["label_id"] in scores:
            tally.scores += moments(abs(row["score"] - scores[row["label_id"]]))


def _compare_detections(tally: Tally, own: Sequence[Row], other: Sequence[Row]) -> None:
    first, second = Detections.from_rows(own), Detections.from_rows(other)
    for pair in match(first, second, SAME_OBJECT):
        tally.scores += moments(abs(float(first.scores[pair.first] - second.scores[pair.second])))
    placed = match(first.without_labels(), second.without_labels(), SAME_OBJECT)
    changed = [first.labels[pair.first] != second.labels[pair.second] for pair in placed]
    tally.relabelled += clusters(int(np.sum(changed)), len(placed))

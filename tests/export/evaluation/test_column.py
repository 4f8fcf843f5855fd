"""A package answers photo by photo, in their order."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from export.evaluation.column import PackageColumn
from service.imaging.files import PhotoError
from service.imaging.resize import ModelInput

from .columns import ignore


def test_inputs_of_several_sizes_keep_their_order(
    detector: PackageColumn, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a detector whose input varies: only photos of one shape run together."""
    paths = [photos / f"{name}.jpg" for name in ("cat", "coffee", "astronaut", "rocket", "cat")]
    expected = detector.answer(paths, ignore)
    sizes: list[int] = []
    run = detector._predictor.run

    def counted(images: Sequence, queries: Sequence) -> list:
        sizes.append(len(images))
        return run(images, queries)

    def by_width(image: ModelInput, query: object) -> int:
        return image.placement.width

    monkeypatch.setattr(detector._predictor, "run", counted)
    monkeypatch.setattr(detector._predictor, "group", by_width)
    for own, other in zip(detector.answer(paths, ignore), expected, strict=True):
        assert [row["label"] for row in own] == [row["label"] for row in other]
    assert sorted(sizes) == [1, 1, 1, 2]


def test_a_damaged_photo_is_named(detector: PackageColumn, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises(PhotoError, match=r"bad\.jpg: "):
        detector.answer([tmp_path / "bad.jpg"], ignore)

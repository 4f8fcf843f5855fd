"""What is measured on is held out of the photos by their names, and never trained on."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from models.datasets.content import (
    Annotations,
    ClassFolders,
    DataError,
    LabelledPhoto,
    Photo,
)
from models.datasets.splits import hold_out


def photo(name: str) -> Photo:
    return Photo(0, Path(name), 9, 9)


def names(photos: tuple[Photo, ...]) -> list[str]:
    return [p.path.name for p in photos]


def annotations(photos: Iterable[Photo]) -> Annotations:
    return Annotations(tuple(photos), ((1, "cat"),))


@pytest.mark.parametrize(
    ("count", "share", "held"), [(2, 0.01, 1), (2, 0.5, 1), (10, 0.1, 1), (40, 0.2, 8), (3, 0.5, 2)]
)
def test_a_share_is_held_out(count: int, share: float, held: int) -> None:
    content = annotations(photo(f"{i}.jpg") for i in range(count))
    training, validation = hold_out(content, share)
    assert training.categories == validation.categories == content.categories
    assert len(validation.photos) == held
    assert sorted(names(training.photos) + names(validation.photos)) == sorted(
        names(content.photos)
    )
    assert [p for p in content.photos if p in validation.photos] == list(validation.photos)


def test_which_photos_are_held_out_follows_from_their_names_alone() -> None:
    photos = [photo(f"{i:06}.jpg") for i in range(1000)]
    validation = hold_out(annotations(photos), 0.1)[1].photos
    moved = annotations(photo(f"elsewhere/{i:06}.jpg") for i in reversed(range(1000)))
    assert set(names(hold_out(moved, 0.1)[1].photos)) == set(names(validation))
    # spread over the whole set, and the same ones when a few photos come or go
    numbers = [int(p.path.stem) for p in validation]
    assert all(
        sum(start <= n < start + 250 for n in numbers) >= 10 for start in range(0, 1000, 250)
    )
    fewer = hold_out(annotations(photos[:950]), 0.1)[1].photos
    assert len(set(names(fewer)) - set(names(validation))) <= 5


def test_of_each_class_a_share_is_held_out() -> None:
    counts = (10, 1, 2, 30)
    photos = tuple(
        LabelledPhoto(Path(f"{label}/{i}.jpg"), label)
        for label, count in enumerate(counts)
        for i in range(count)
    )
    categories = tuple((label, str(label)) for label in range(4))
    training, validation = hold_out(ClassFolders(photos, categories), 0.1)
    held = [sum(p.label == label for p in validation.photos) for label in range(4)]
    assert held == [1, 0, 1, 3]
    assert set(training.photos) | set(validation.photos) == set(photos)
    assert not set(training.photos) & set(validation.photos)


def test_one_photo_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="1 photos are too few"):
        hold_out(annotations([photo("a.jpg")]), 0.5)

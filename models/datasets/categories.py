"""Categories of one file held against those of another: by id and name, or by name alone."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from models.datasets.content import Categories, DataError, first_names


def match_categories(
    file: Path, found: Categories, used: Collection[int | None], known: Categories | None
) -> dict[Any, int]:
    """The label of each category of ``file`` by its id, in ``known`` or else in ``found``.

    Those that nothing is of may be unknown: some tools write one for all others. Raises DataError
    for another, and for one whose name is another's.
    """
    if known is None:
        return {number: label for label, (number, _) in enumerate(found)}
    names = dict(known)
    for number, name in found:
        if number in used and names.get(number) != name:
            own = f"is {names[number]!r}" if number in names else "does not exist"
            raise DataError(
                f"{file}: its category {number} is {name!r}, an id that {own} among the expected"
                f" ones ({first_names(known)}); both must be the same, id and name"
            )
    return {number: label for label, (number, _) in enumerate(known)}


def name_categories(names: Iterable[str], known: Categories | None) -> Categories:
    """Where files know names alone: ``known``, or else the names, sorted, with ids from 1."""
    return tuple(enumerate(sorted(set(names)), start=1)) if known is None else known


def labels_by_name(categories: Categories) -> dict[Any, int]:
    """The label of each category by its name."""
    return {name: label for label, (_, name) in enumerate(categories)}

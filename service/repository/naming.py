"""Which version a name means, and which model answers where none is named."""

from collections.abc import Collection, Iterable, Set
from itertools import groupby

from service.manifest import ModelManifest, Task
from service.problems import Problem
from service.repository.store import Reference
from service.repository.version import ModelVersion, State

Found = tuple[ModelVersion, ModelManifest]


def find_meant(entries: Iterable[ModelVersion], withheld: Set[Reference]) -> Found | None:
    """Of a name's versions, the newest first, the one that it means: the pinned one, or else the
    newest that can be served and is not ``withheld``, if there is one; of versions that are all
    unloaded the newest. None if none is fit."""
    fit = [(entry, manifest) for entry in entries if (manifest := entry.manifest)]
    served = [found for found in fit if found[0].state is not State.UNLOADED]
    open_ = [found for found in served if found[0].reference not in withheld]
    pinned = [found for found in served if found[0].pinned]
    return next(iter(pinned or open_ or served or fit), None)


def find_default(
    entries: Iterable[ModelVersion],
    task: Task | None,
    withheld: Set[Reference],
    chosen: Collection[str],
) -> str:
    """The name of the model that answers a request of ``task`` which names none: by `default_name`
    among those of ``entries``, all versions by name, that their names mean and that can be served.
    Raises Problem if none is of this task."""
    by_name = groupby(entries, lambda entry: entry.reference[0])
    meant = [found for _, named in by_name if (found := find_meant(named, withheld))]
    fit = [found for found in meant if task in (None, found[1].task)]
    served = [found for found in fit if found[0].state is not State.UNLOADED]
    if not fit:
        raise Problem("model_not_found", f"The service holds no model for {task}.")
    return default_name(((e.reference[0], manifest) for e, manifest in served or fit), chosen)


def default_name(models: Iterable[tuple[str, ModelManifest]], chosen: Collection[str]) -> str:
    """Which of ``models``, pairs of a name and a manifest, answers a request that names none: the
    one that is ``chosen``, else the one with the best `main_metric`; of equal ones, and of those
    that were not measured, the first. Raises ValueError if there are none."""

    def rank(model: tuple[str, ModelManifest]) -> tuple[bool, float]:
        name, manifest = model
        metric = manifest.main_metric
        return name in chosen, -1.0 if metric is None else metric

    return max(models, key=rank)[0]

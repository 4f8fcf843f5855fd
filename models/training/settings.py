"""The settings of a run beside its recipe, which must be the same when it resumes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.training.recipe import TrainingError
from models.training.state import FILE as STATE

FILE = "settings.json"


@dataclass(frozen=True)
class RunSettings:
    """What determines a run beside its recipe.

    input_size: side of the views that the network is trained on, in pixels.
    photos: how many are trained on, after bad ones and those to measure on were taken out.
    augmentation: the fields of `Augment`.
    views: of each photo whose frozen features are kept; 0 makes fresh views.
    pseudo_labels: the file of a teacher's boxes. distill: how far targets follow its judgement.
    """

    architecture: str
    input_size: int
    classes: tuple[str, ...]
    photos: int
    augmentation: Mapping[str, Any]
    views: int = 0
    pseudo_labels: str | None = None
    distill: float = 0.0


def check_settings(settings: RunSettings, output: Path) -> None:
    """Raise TrainingError if ``output`` holds a run with other settings, or if these cannot be
    read. A run without a settings file, as older versions left it, is taken for the same."""
    path = output / FILE
    if not (output / STATE).exists() or not path.exists():
        return
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
        now = _flat(json.loads(json.dumps(asdict(settings))))  # with lists in place of tuples
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{path}: cannot be read; delete it if the run is this one") from error
    differences = [
        f"{name.replace('_', ' ')} was {_shown(before[name])}, not {_shown(value)}"
        for name, value in now.items()
        if name in before and before[name] != value  # an older version may have written fewer
    ]
    if differences:
        raise TrainingError(
            f"{output} holds a run with other settings ({'; '.join(differences)}); give the command"
            " that it was started with, or another --output"
        )


def save_settings(settings: RunSettings, output: Path) -> None:
    """Write ``settings`` into the run's folder; raises OSError."""
    aside = output / f"{FILE}.partial"
    aside.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    aside.replace(output / FILE)


def _flat(plain: dict[str, Any]) -> dict[str, Any]:
    """With the fields of the augmentation beside the others."""
    flat = {**plain, **plain.get("augmentation", {})}
    flat.pop("augmentation", None)
    return flat


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value[:5])) + (f" … ({len(value)})" if len(value) > 5 else "")
    return str(value)

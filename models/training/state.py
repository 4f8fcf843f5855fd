"""The state of a run, from which it resumes with the same result as without an interruption."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from models.checkpoint_file import CheckpointError
from models.training.recipe import Recipe

FILE = "state.pth"
FORMAT = "boxport-training-2"


@dataclass(frozen=True)
class Position:
    """How far a run has come: epochs done, and batches of the next one."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class TrainingState:
    """A run's position and the state of each of its parts.

    best: the best metric so far, by which the saved weights were chosen.
    sums: of the losses since the epoch began, for its row in the log.
    random: of each process, by rank, see `Process.random_state`.
    """

    position: Position
    best: float
    sums: dict[str, float]
    parts: dict[str, Any]
    random: list[dict[str, torch.Tensor]]


def save_state(state: TrainingState, recipe: Recipe, output: Path) -> None:
    """Write ``state`` so that an interruption leaves the previous one whole."""
    aside = output / f"{FILE}.partial"
    content = {**vars(state), "position": asdict(state.position)}
    torch.save({"format": FORMAT, "recipe": asdict(recipe), **content}, aside)
    aside.replace(output / FILE)


def load_state(recipe: Recipe, output: Path) -> TrainingState | None:
    """The state in ``output``, or None if there is none.

    Raises CheckpointError if it cannot be read, or is of a run by another recipe.
    """
    path = output / FILE
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways
        raise CheckpointError(f"{path}: cannot be read; delete it to start again") from error
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: is of another release ({content['format']}, not {FORMAT}); delete it to start"
            " again, from last.pth with --weights if you like"
        )
    differences = [
        f"{name} was {before}, not {now}"
        for name, now in asdict(recipe).items()
        if (before := content["recipe"].get(name, now)) != now  # an older release may lack it
    ]
    if differences:
        raise CheckpointError(
            f"{path} is of a run by another recipe ({'; '.join(differences)}); take that recipe,"
            " or another --output"
        )
    kept = {field.name: content[field.name] for field in fields(TrainingState)}
    return TrainingState(**kept | {"position": Position(**content["position"])})

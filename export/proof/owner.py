"""Where an owner's answers come from: their code, or a file of its results."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.progress import OnProgress, ignore_progress
from export.proof.answers import OwnerAnswers
from export.proof.reference import Reference, ask_owner
from export.proof.results import read_results
from service.manifest import Label, Task


@dataclass(frozen=True)
class Owner:
    """One of ``reference``, FILE.py or FILE.py:FUNCTION, which ``python`` runs, and ``expect``, a
    file of results, whose images' ids ``annotations`` name."""

    reference: str | None = None
    python: Path | None = None
    expect: Path | None = None
    annotations: Path | None = None

    def __str__(self) -> str:
        return f"asking {self.reference}" if self.expect is None else f"reading {self.expect}"

    def answers(
        self,
        task: Task,
        labels: Sequence[Label],
        photos: Sequence[Path],
        on_progress: OnProgress = ignore_progress,
    ) -> OwnerAnswers:
        """Those to ``photos``; raises ProofError."""
        if self.expect is not None:
            return read_results(self.expect, task, labels, photos, self.annotations)
        assert self.reference is not None
        python = self.python or Path(sys.executable)
        reference = Reference.parse(self.reference, python)
        return ask_owner(reference, task, labels, photos, on_progress)

"""The owner's own code, asked about photos in a process of its own."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from export.progress import OnProgress, ignore_progress
from export.proof.answers import Answer, OwnerAnswers, ProofError, to_answer
from service.manifest import Label, Task

FUNCTION = "predict"
PROGRAM = Path(__file__).with_name("asking.py")


@dataclass(frozen=True)
class Reference:
    """A function of the owner's that answers a photo.

    python: the program that runs it, of the owner's environment if it needs that.
    """

    file: Path
    function: str
    python: Path

    @classmethod
    def parse(cls, text: str, python: Path) -> "Reference":
        """FILE.py or FILE.py:FUNCTION."""
        file, colon, function = text.rpartition(":")
        if not colon or not function.isidentifier():
            file, function = text, FUNCTION
        return cls(Path(file), function, python)

    def __str__(self) -> str:
        return f"{self.file.name}:{self.function}"


def ask_owner(
    reference: Reference,
    task: Task,
    labels: Sequence[Label],
    photos: Sequence[Path],
    on_progress: OnProgress = ignore_progress,
) -> OwnerAnswers:
    """The function's answers to ``photos``, one after the other.

    Raises ProofError if it cannot be run, raises something or gives what is no answer.
    """
    if not reference.file.is_file():
        raise ProofError(f"{reference.file}: there is no such file")
    answers: list[Answer] = []
    with _running(reference, photos) as (lines, printed):
        for line in lines:
            told = json.loads(line)
            if "error" in told:
                raise ProofError(_fault(reference, told))
            where = f"{reference}: its answer to {photos[len(answers)].name}"
            answers.append(to_answer(told["answer"], task, labels, where))
            on_progress(len(answers), len(photos))
        if len(answers) < len(photos):
            printed.seek(0)
            said = [line.strip() for line in printed if line.strip()]
            last = f"; the last that it said is {said[-1]!r}" if said else ""
            raise ProofError(f"{reference}: ended before {photos[len(answers)].name}{last}")
    return OwnerAnswers("user_model", str(reference), tuple(photos), tuple(answers))


def _fault(reference: Reference, told: dict[str, Any]) -> str:
    at = f" line {told['line'][0]}" if told["line"] else ""
    on = f" on {Path(told['photo']).name}" if told["photo"] else ""
    return f"{reference.file}:{at} raises{on} {told['error']}"


@contextmanager
def _running(reference: Reference, photos: Sequence[Path]) -> Iterator[tuple[IO[str], IO[str]]]:
    """The lines that `asking.py` writes, and what the function prints."""
    read, write = os.pipe()
    with os.fdopen(read) as lines, tempfile.TemporaryFile("w+", errors="replace") as printed:
        command = [reference.python, "-u", PROGRAM, reference.file, reference.function, str(write)]
        try:
            process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=(write,),
                text=True,
            )
        except OSError as error:
            raise ProofError(f"{reference.python}: {error.strerror}") from error
        finally:
            os.close(write)
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as questions:  # it may have ended
                questions.write(json.dumps([str(photo.resolve()) for photo in photos]))
            yield lines, printed
        finally:
            process.kill()
            process.wait()

"""What the service's commands share: messages, errors and types of arguments.

Only the standard library is imported: a container runs `python -m service healthcheck` every few
seconds.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def say(sentence: str) -> None:
    """Print to standard error: standard output is for a pipe or a variable."""
    print(f"boxport: {sentence}", file=sys.stderr)


def one_line(error: BaseException) -> str:
    """The message of an error in one line; that of Arrow's and Ray's may have many."""
    return printable(" ".join(str(error).split())) or type(error).__name__


def printable(text: str) -> str:
    """``text``, which a file of anybody may hold, without the characters that terminals obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


@contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """End the command with status 1 and one line for errors of these kinds."""
    try:
        yield
    except kinds as error:
        raise SystemExit(f"boxport: {one_line(error)}") from error


def positive_integer(text: str) -> int:
    """The type of an argument that is an integer above 0."""
    number = int(text)
    positive_number(text)
    return number


def positive_number(text: str) -> float:
    """The type of an argument that is a finite number above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number

"""How a command ends: its exit status, and the line that says what is wrong."""

from __future__ import annotations

import enum
import signal
from collections.abc import Callable

import typer

from boxport_client.cli.interruption import Interrupted
from boxport_client.cli.terminal import say_error
from boxport_client.errors import (
    ApiError,
    BoxportError,
    ConnectionFailed,
    JournalError,
    MissingExtra,
    PhotoError,
    Unanswered,
)

ALL_ANSWERED = 0
SOME_FAILED = 1
WRONG_USAGE = 2
NO_SERVICE = 3
INTERRUPTED = 128 + signal.SIGINT
NOBODY_READS = 128 + 13  # SIGPIPE, which not every platform has

# Of the service's codes, those that are about what was asked and so are the same for every photo.
QUESTION_CODES = frozenset(
    {"model_not_found", "wrong_task", "invalid_parameter", "unknown_parameter"}
)
SERVICE_CODES = frozenset({"unknown", "not_found", "method_not_allowed"})
SERVICE_STATUSES = frozenset({401, 403, 409, 429})


class Blame(enum.Enum):
    """What an error is about."""

    PHOTO = SOME_FAILED
    QUESTION = WRONG_USAGE
    SERVICE = NO_SERVICE


class Refused(Exception):
    """Ends the command with one line and an exit status."""

    def __init__(self, words: str, status: int = WRONG_USAGE) -> None:
        super().__init__(words)
        self.status = status


def blame(error: BoxportError) -> Blame:
    """What ``error`` is about."""
    if isinstance(error, ApiError):
        if error.code in QUESTION_CODES:
            return Blame.QUESTION
        about_service = error.status in SERVICE_STATUSES or error.status >= 500
        if error.code in SERVICE_CODES or (about_service and not error.code.startswith("url_")):
            return Blame.SERVICE
        return Blame.PHOTO
    if isinstance(error, Unanswered):
        return Blame.SERVICE
    return Blame.QUESTION if isinstance(error, (JournalError, MissingExtra)) else Blame.PHOTO


def is_the_same_for_all(error: BoxportError) -> bool:
    """Whether every other photo would meet ``error`` too."""
    if isinstance(error, ConnectionFailed) or blame(error) is Blame.QUESTION:
        return True
    return isinstance(error, ApiError) and (
        error.code in SERVICE_CODES or error.code in ("unauthenticated", "forbidden")
    )


def ended_in_one_line(command: Callable[[], int]) -> int:
    """Run ``command``; the exit status, after a line on stderr if something is wrong."""
    try:
        return command()
    except Refused as error:
        say_error(str(error))
        return error.status
    except (Interrupted, KeyboardInterrupt) as error:
        say_error("interrupted")
        return error.status if isinstance(error, Interrupted) else INTERRUPTED
    except typer.Abort:
        say_error("interrupted")
        return INTERRUPTED
    except BoxportError as error:
        say_error(str(error))
        return WRONG_USAGE if isinstance(error, PhotoError) else blame(error).value
    except OSError as error:
        say_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return WRONG_USAGE
    except ValueError as error:
        say_error(str(error))
        return WRONG_USAGE
    except Exception as error:
        # Typer's own faults, of wrong usage, whose class is not public in every version
        if not hasattr(error, "format_message"):
            raise
        return _say_usage(error)


def _say_usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "boxport"
    words = str(error.format_message()).strip()  # type: ignore[attr-defined]
    say_error(f"{words.rstrip('.')}; see {command} --help")
    return WRONG_USAGE

"""Exit statuses, and the line on stderr that says what went wrong."""

from __future__ import annotations

import enum
import signal
from collections.abc import Callable

import typer

from boxport_client._errors import (
    ApiError,
    BoxportError,
    ConnectionFailed,
    JournalError,
    MissingExtra,
    PhotoError,
    Unanswered,
)
from boxport_client.cli._interruption import Interrupted
from boxport_client.cli._terminal import say_error

ALL_ANSWERED = 0
SOME_FAILED = 1
WRONG_USAGE = 2
NO_SERVICE = 3
INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + 13  # SIGPIPE, which not every platform has

# Error codes of the service that are about the request's parameters, and so hold for every photo.
REQUEST_CODES = frozenset(
    {"model_not_found", "wrong_task", "invalid_parameter", "unknown_parameter", "too_many_regions"}
)
SERVICE_CODES = frozenset({"unknown", "not_found", "method_not_allowed"})
SERVICE_STATUSES = frozenset({401, 403, 409, 429})


class Cause(enum.Enum):
    """What caused an error, with the exit status if there is no answer at all."""

    PHOTO = SOME_FAILED
    REQUEST = WRONG_USAGE
    SERVICE = NO_SERVICE


class CommandError(Exception):
    """The command ends with this line on stderr and an exit status."""

    def __init__(self, words: str, status: int = WRONG_USAGE) -> None:
        super().__init__(words)
        self.status = status


def cause_of(error: BoxportError) -> Cause:
    """What caused ``error``."""
    if isinstance(error, ApiError):
        if error.code in REQUEST_CODES:
            return Cause.REQUEST
        about_service = error.status in SERVICE_STATUSES or error.status >= 500
        if error.code in SERVICE_CODES or (about_service and not error.code.startswith("url_")):
            return Cause.SERVICE
        return Cause.PHOTO
    if isinstance(error, Unanswered):
        return Cause.SERVICE
    return Cause.REQUEST if isinstance(error, (JournalError, MissingExtra)) else Cause.PHOTO


def affects_all(error: BoxportError) -> bool:
    """Whether every other photo would fail with ``error`` too."""
    if isinstance(error, ConnectionFailed) or cause_of(error) is Cause.REQUEST:
        return True
    return isinstance(error, ApiError) and (
        error.code in SERVICE_CODES or error.code in ("unauthenticated", "forbidden")
    )


def run_command(command: Callable[[], int]) -> int:
    """Run ``command`` and return its exit status, after a line on stderr if it failed."""
    try:
        return command()
    except CommandError as error:
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
        return WRONG_USAGE if isinstance(error, PhotoError) else cause_of(error).value
    except OSError as error:
        say_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return WRONG_USAGE
    except ValueError as error:
        say_error(str(error))
        return WRONG_USAGE
    except Exception as error:
        # Typer's own usage errors, whose class is not public in every version
        if not hasattr(error, "format_message"):
            raise
        return _say_usage(error)


def _say_usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "boxport"
    words = str(error.format_message()).strip()  # type: ignore[attr-defined]
    say_error(f"{words.rstrip('.')}; see {command} --help")
    return WRONG_USAGE

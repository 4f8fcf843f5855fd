"""Log lines: JSON for machines, text for a terminal, one record a line.

Whatever a message holds (newlines, escape sequences, a forged record), it stays inside its line.
"""

import logging
import logging.config
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

Format = Literal["auto", "json", "text"]

logger = logging.getLogger("bentoml.boxport")  # below BentoML's own, as its handlers are ours

# Of the request that is answered in this context; threads of a pool do not see it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# BentoML gives these loggers handlers of their own in each worker.
_BENTOML_LOGGERS = ("bentoml", "uvicorn.error", "circus")
_NO_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "request_id",
    "color_message",  # uvicorn's message once more, for terminals
}
# Characters of a message or a field, and of a traceback: both may quote what a caller has sent.
MAX_TEXT, MAX_TRACE = 4_000, 16_000
# What JSON leaves as it is though it ends a line or moves a cursor somewhere.
_CONTROL = re.compile("[\x7f-\x9f\u2028\u2029]")


def configure(format: Format = "auto", level: str = "INFO") -> None:
    """Write every log line of this process to stderr in one format.

    It replaces what BentoML has set up, so call it once BentoML has: in the service's constructor
    for a worker, in ``on_deployment`` for the process that starts the workers.

    format: "auto" is text if stderr is a terminal, else JSON.
    level: of the service and of BentoML; other libraries are heard from WARNING on.

    Raises ValueError if there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    if level not in levels:
        raise ValueError(f"{level} is no level of logging; there are {', '.join(levels)}")
    if format == "auto":
        format = "text" if sys.stderr.isatty() else "json"
    libraries = max(levels[level], logging.WARNING)
    own = {"level": level, "propagate": True}
    others = {"level": libraries, "propagate": True}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": JsonLine if format == "json" else TextLine}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "stream": "ext://sys.stderr",
                }
            },
            "loggers": {name: own if name == "bentoml" else others for name in _BENTOML_LOGGERS},
            "root": {"level": libraries, "handlers": ["stderr"]},
        }
    )


class JsonLine(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, request_id, extra fields.

    The time is RFC 3339 in UTC. ``request_id`` is there in a request, ``exception`` (a traceback)
    if there was one. What the caller gave as ``extra`` cannot replace these.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        if (of := _request_id(record)) is not None:
            fields["request_id"] = of
        if trace := _trace(record):
            fields["exception"] = trace
        fields |= {name: value for name, value in _extra(record).items() if name not in fields}
        try:
            line = orjson.dumps(fields, default=str)
        except TypeError:  # a lone surrogate, a number past 64 bits
            line = orjson.dumps({name: _encodable(value) for name, value in fields.items()})
        return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line.decode())


class TextLine(logging.Formatter):
    """A record as a line to read: time, level, logger, message, fields; then its traceback.

    Only a record begins at the margin: the lines of a traceback stand behind a bar.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = _extra(record)
        if (of := _request_id(record)) is not None:
            fields["request_id"] = of
        words = [
            _time(record),
            f"{record.levelname:<7}",
            record.name,
            _printable(_cut(record.getMessage())),
            *(_printable(f"{name}={value}") for name, value in fields.items()),
        ]
        trace = [f"  | {_printable(line)}" for line in _trace(record).split("\n") if line]
        return "\n".join([" ".join(words), *trace])


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave; libraries such as Ray add private attributes of their own."""
    return {
        name: _cut(value) if isinstance(value, str) else value
        for name, value in vars(record).items()
        if value is not None and name not in _NO_FIELDS and not name.startswith("_")
    }


def _request_id(record: logging.LogRecord) -> str | None:
    given: str | None = getattr(record, "request_id", None)
    return given or request_id.get()


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return _cut("".join(traceback.format_exception(record.exc_info[1])).rstrip("\n"), MAX_TRACE)


def _cut(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` with its middle left out if it has more than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"


def _encodable(value: Any) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _printable(text: str) -> str:
    """``text`` with all that is not to be seen, newlines included, written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )

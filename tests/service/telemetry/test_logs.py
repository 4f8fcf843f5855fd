"""A record is one line, whatever it holds, in either format."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.telemetry.logs import (
    MAX_TEXT,
    MAX_TRACE,
    JsonLine,
    TextLine,
    configure,
    request_id,
)
from tests.paths import ROOT

FORGED = "lost\n2026-01-01T00:00:00.000Z INFO    boxport all is well\r\x1b[2K\x9b1A\x85\u2028end"


def record(message: str = "ready", **fields: Any) -> logging.LogRecord:
    logger = logging.getLogger("bentoml.boxport")
    info = fields.pop("exc_info", None)
    made = logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), info, extra=fields)
    made.created = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC).timestamp()
    return made


def failure(message: str) -> Any:
    try:
        raise ValueError(message)
    except ValueError:
        return sys.exc_info()


@pytest.fixture
def in_request() -> Iterator[None]:
    token = request_id.set("r-1")
    yield
    request_id.reset(token)


def test_json_line_has_the_fields_of_the_record() -> None:
    made = record(model="cat", images=2, _of_a_library=1)
    assert orjson.loads(JsonLine().format(made)) == {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "INFO",
        "logger": "bentoml.boxport",
        "message": "ready",
        "model": "cat",
        "images": 2,
    }


def test_text_line_reads_from_left_to_right() -> None:
    line = TextLine().format(record(model="cat", caller=None))
    assert line == "2026-01-02T03:04:05.678Z INFO    bentoml.boxport ready model=cat"


@pytest.mark.usefixtures("in_request")
@pytest.mark.parametrize(
    ("fields", "expected"), [({}, "r-1"), ({"request_id": "r-2"}, "r-2")], ids=["context", "given"]
)
def test_request_s_id_is_the_context_s_unless_given(fields: Any, expected: str) -> None:
    assert orjson.loads(JsonLine().format(record(**fields)))["request_id"] == expected
    assert f"request_id={expected}" in TextLine().format(record(**fields))


def test_extra_fields_replace_none_of_the_record_s() -> None:
    line = orjson.loads(JsonLine().format(record(time="never", level="NONE", logger="other")))
    assert line["time"] == "2026-01-02T03:04:05.678Z"
    assert (line["level"], line["logger"]) == ("INFO", "bentoml.boxport")


@pytest.mark.parametrize("where", ["message", "field", "exception"])
def test_forged_line_stays_inside_its_json(where: str) -> None:
    made = {
        "message": lambda: record(FORGED),
        "field": lambda: record(caller=FORGED),
        "exception": lambda: record(exc_info=failure(FORGED)),
    }[where]()
    line = JsonLine().format(made)
    assert len(line.splitlines()) == 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)
    read = orjson.loads(line)
    assert FORGED in {"field": read.get("caller")}.get(where, read.get(where))


@pytest.mark.parametrize("where", ["message", "field", "exception"])
def test_forged_line_does_not_reach_the_margin_of_text(where: str) -> None:
    made = {
        "message": lambda: record(FORGED),
        "field": lambda: record(caller=FORGED),
        "exception": lambda: record(exc_info=failure(FORGED)),
    }[where]()
    first, *rest = TextLine().format(made).splitlines()
    assert first.startswith("2026-01-02T03:04:05.678Z INFO    bentoml.boxport ")
    assert all(line.startswith("  | ") for line in rest)
    assert bool(rest) == (where == "exception")
    assert all(line.isprintable() for line in (first, *rest))


@pytest.mark.parametrize(
    "value",
    [Path("a/b"), 2**70, "\ud800", {1: "x"}, float("nan"), b"\xff", object()],
    ids=["path", "large number", "lone surrogate", "numbered dict", "NaN", "bytes", "object"],
)
@pytest.mark.parametrize("formatter", [JsonLine(), TextLine()], ids=["json", "text"])
def test_any_value_can_be_written(formatter: logging.Formatter, value: Any) -> None:
    line = formatter.format(record(value=value))
    line.encode()
    assert "ready" in line
    if isinstance(formatter, JsonLine):
        assert "value" in orjson.loads(line)


def test_message_takes_its_arguments_and_exception_its_traceback() -> None:
    made = record("request %s failed", exc_info=failure("why"))
    made.args = ("r-3",)
    read = orjson.loads(JsonLine().format(made))
    assert read["message"] == "request r-3 failed"
    assert read["exception"].startswith("Traceback")
    assert read["exception"].endswith("ValueError: why")


def run(program: str) -> list[str]:
    """What a process like one of BentoML's workers writes to stderr, which is no terminal."""
    program = (
        "import logging\n"
        "from bentoml._internal.log import configure_server_logging\n"
        "from service.telemetry.logs import configure\n"
        "configure_server_logging()\n" + program
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_bentoml_s_lines_and_all_others_take_the_format() -> None:
    lines = run(
        "configure()\n"
        "configure()\n"
        "logging.getLogger('bentoml.boxport').info('ours', extra={'request_id': 'r-1'})\n"
        "logging.getLogger('bentoml.worker.service').info('of BentoML')\n"
        "logging.getLogger('uvicorn.error').warning('of uvicorn', extra={'color_message': 'x'})\n"
        "logging.getLogger('other').warning('of a library')\n"
        "logging.getLogger('other').info('unheard')\n"
        "logging.getLogger('uvicorn.error').info('unheard')\n"
        "logging.getLogger('bentoml').debug('unheard')\n"
    )
    read = [orjson.loads(line) for line in lines]
    assert [(line["logger"], line["message"]) for line in read] == [
        ("bentoml.boxport", "ours"),
        ("bentoml.worker.service", "of BentoML"),
        ("uvicorn.error", "of uvicorn"),
        ("other", "of a library"),
    ]
    assert read[0]["request_id"] == "r-1"
    assert all("color_message" not in line for line in read)


def test_level_and_format_are_the_operator_s() -> None:
    lines = run(
        "configure('text', 'ERROR')\n"
        "logging.getLogger('bentoml.boxport').warning('unheard')\n"
        "logging.getLogger('other').warning('unheard')\n"
        "logging.getLogger('bentoml.boxport').error('heard')\n"
    )
    assert len(lines) == 1
    assert lines[0].endswith("Z ERROR   bentoml.boxport heard")


def test_level_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure("json", "LOUD")


@pytest.mark.parametrize("formatter", [JsonLine(), TextLine()])
def test_a_line_has_an_end(formatter: logging.Formatter) -> None:
    long = "a" + "m" * 3_000_000 + "z"
    line = formatter.format(record(long, model=long, exc_info=failure(long)))
    assert len(line) < 2 * MAX_TEXT + 2 * MAX_TRACE
    assert "2996002 characters" in line
    assert "ValueError: ammm" in line
    assert "mmz" in line, "an exception is told at the end of its traceback"

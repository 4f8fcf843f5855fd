"""What the tests of telemetry share."""

import logging
from collections.abc import Iterator

import pytest

from service.telemetry.states import ModelState, ServiceState


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """What the service logs during the test, from INFO on."""
    logger, heard = logging.getLogger("bentoml.boxport"), _Heard()
    level = logger.level
    logger.addHandler(heard)
    logger.setLevel(logging.INFO)
    yield heard.records
    logger.setLevel(level)
    logger.removeHandler(heard)


@pytest.fixture
def state() -> ServiceState:
    """Two versions of a detector, of which one is loaded, and a classifier."""
    return ServiceState(
        models=[
            ModelState("detector", "1", "aa", "int8", "CPUExecutionProvider", 2, queued=3),
            ModelState("detector", "2", "bb", "float32", queued=4),
            ModelState("classifier", "1", "cc", "int8", "CPUExecutionProvider", 1),
        ],
        images=5,
        requests=2,
        session_bytes=1000,
    )

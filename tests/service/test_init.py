"""What holds from the first import on."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

WAIT_SECONDS = 15
RUN = """
import time
from pathlib import Path
import {module}
from service.package import open_package
opened = open_package(Path({folder!r}))
time.sleep({seconds})
"""


@pytest.mark.full
@pytest.mark.parametrize("module", ["service.package", "export.exporter"])
def test_nobody_is_told_that_a_model_runs(module: str, store: Path) -> None:
    """ONNX Runtime reports its use some ten seconds after it was imported, through the proxy that
    the environment names: here one that listens, and hears nothing."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        named = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), address)
        kept = {
            name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"
        }
        folder = str(store / "efficientnet_lite0_imagenet" / "1")
        run = RUN.format(module=module, folder=folder, seconds=WAIT_SECONDS)
        subprocess.run([sys.executable, "-c", run], env=kept | named, check=True)
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()

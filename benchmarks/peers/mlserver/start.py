"""Writes MLServer's settings into a temporary folder and starts it there."""

import json
import os
import sys
import tempfile
from pathlib import Path

SETTINGS = {"parallel_workers": len(os.sched_getaffinity(0)), "metrics_endpoint": None}


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="mlserver"))
    settings = {
        **SETTINGS,
        "host": "127.0.0.1",
        "http_port": int(os.environ["PORT"]),
        "grpc_port": int(os.environ["SECOND_PORT"]),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "photos", "implementation": "app.Photos"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = Path(sys.executable).with_name("mlserver")
    os.execv(command, [str(command), "start", str(folder)])


if __name__ == "__main__":
    main()

"""Archives the handler, writes TorchServe's settings and starts it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETTINGS = """
inference_address=http://127.0.0.1:{port}
management_address=http://127.0.0.1:{second_port}
metrics_address=http://127.0.0.1:{third_port}
disable_token_authorization=true
default_workers_per_model={workers}
model_store={folder}
load_models=photos.mar
max_request_size=100000000
"""


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="torchserve"))
    tools = Path(sys.executable).parent
    archive = ["--model-name", "photos", "--version", "1", "--handler", HERE / "photos.py"]
    command = [tools / "torch-model-archiver", *archive, "--export-path", folder]
    subprocess.run(command, check=True)
    settings = SETTINGS.format(
        port=os.environ["PORT"],
        second_port=os.environ["SECOND_PORT"],
        third_port=os.environ["THIRD_PORT"],
        workers=len(os.sched_getaffinity(0)),
        folder=folder,
    )
    (folder / "config.properties").write_text(settings)
    os.chdir(folder)  # its logs go there
    server = tools / "torchserve"
    options = ["--start", "--foreground", "--no-config-snapshots", "--disable-token-auth"]
    os.execv(server, [server, *options, "--ts-config", folder / "config.properties"])


if __name__ == "__main__":
    main()

"""Triton Inference Server: its own front and dynamic batcher, its Python backend with an instance
for each processor, a session of one thread in each.

The package `nvidia-pytriton` holds Triton's server, the Python backend and that backend's programs
for several versions of Python; PyTriton itself does not run. This writes a model repository and a
folder of backends, and starts the server there.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = "photos"
STUB = "triton_python_backend_stub"
CONFIG = """
name: "{model}"
backend: "python"
max_batch_size: 8
dynamic_batching {{ }}
input [{{ name: "photo" data_type: TYPE_STRING dims: [1] }}]
output [{{ name: "answer" data_type: TYPE_STRING dims: [1] }}]
instance_group [{{ kind: KIND_CPU count: {instances} }}]
"""


def main() -> None:
    package = find_spec("pytriton")
    assert package is not None
    assert package.origin is not None
    triton = Path(package.origin).with_name("tritonserver")
    folder = Path(tempfile.mkdtemp(prefix="triton"))

    version = folder / "models" / MODEL / "1"
    version.mkdir(parents=True)
    shutil.copy(HERE / "model.py", version)
    config = CONFIG.format(model=MODEL, instances=len(os.sched_getaffinity(0)))
    version.with_name("config.pbtxt").write_text(config)

    backend = folder / "backends" / "python"
    shutil.copytree(triton / "backends" / "python", backend)
    python = ".".join(map(str, sys.version_info[:2]))
    shutil.copy(triton / "python_backend_stubs" / python / STUB, backend)
    (backend / STUB).chmod(0o755)

    site = sysconfig.get_path("purelib")
    os.environ["MODULES"] = os.pathsep.join([os.environ["PYTHONPATH"], site])
    # of the stub, which looks for them beside where it was: its Python, and the package's own
    libraries = (sysconfig.get_config_var("LIBDIR"), str(Path(site) / "nvidia_pytriton.libs"))
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    server = triton / "bin" / "tritonserver"
    server.chmod(0o755)
    options = {
        "model-repository": folder / "models",
        "backend-directory": backend.parent,
        "http-address": "127.0.0.1",
        "http-port": os.environ["PORT"],
        "allow-grpc": "false",
        "allow-metrics": "false",
    }
    os.execv(server, [server, *(f"--{name}={value}" for name, value in options.items())])


if __name__ == "__main__":
    main()

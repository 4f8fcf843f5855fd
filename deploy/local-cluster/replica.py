"""Runs one replica, started by supervisord: `replica.py NUMBER`, with its own BENTOML_HOME."""

import os
import sys
from pathlib import Path

from leftovers import end_leftovers

# Of an idle connection. The balancer closes them first, after some seconds: a replica might close
# one to which a request has just been sent.
KEEP_ALIVE_SECONDS = 3600


def main() -> None:
    """Replace this process by the service.

    When `bentoml serve` is killed, its worker survives, keeps the port and goes on answering. Such
    a worker is ended first, once it has finished its requests.
    """
    port = int(os.environ["CLUSTER_PORT"]) + int(sys.argv[1])
    home = Path(os.environ["BENTOML_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if number := end_leftovers("BENTOML_HOME", str(home), int(os.environ["CLUSTER_STOP_SECONDS"])):
        print(f"ended {number} processes that a killed replica had left", file=sys.stderr)
    command = [str(Path(sys.executable).with_name("bentoml")), "serve", "service.app:Boxport"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--timeout-keep-alive", str(KEEP_ALIVE_SECONDS)]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()

"""One replica, as supervisord starts it: `replica.py NUMBER`, with a BENTOML_HOME of its own."""

import os
import sys
from pathlib import Path

from leftovers import end_leftovers

# Of an idle connection. It is the balancer that closes them, after some seconds: one that the
# replica closes may just have been given a request.
KEEP_ALIVE_SECONDS = 3600


def main() -> None:
    """Become the service.

    `bentoml serve` has a worker, which outlives it when it is killed, keeps the port and goes on
    answering. It is let finish first.
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

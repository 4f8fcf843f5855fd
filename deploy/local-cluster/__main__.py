"""`python deploy/local-cluster`: several replicas of the service behind HAProxy, on one machine."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

# `python deploy/local-cluster` imports from this folder; the service is imported from the root
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from cluster import Cluster, ClusterError
from conditions import list_conditions
from rolling import roll
from running import run

from service.settings import SettingsError

DESCRIPTION = """\
Several replicas of the service on one machine, behind HAProxy.

  python deploy/local-cluster start --replicas 3
  python deploy/local-cluster status
  python deploy/local-cluster roll

Requests go to the port, by default 3000. Replica i listens on 127.0.0.1 at the
port + i, where its /metrics is; the balancer's page and its /metrics are at the
port + 100. BOXPORT_… settings apply to all replicas.
"""

START_HELP = """\
Start a cluster and report changes of its replicas, until Ctrl-C or SIGTERM.

A replica that dies is started again; kill -TERM lets one finish its requests
first. At the end all replicas finish their requests; a second signal ends them
at once.

  python deploy/local-cluster start
  python deploy/local-cluster start --replicas 4 --port 8080 --host 127.0.0.1
  BOXPORT_SETTINGS_FILE=boxport.toml python deploy/local-cluster start
"""

STATUS_HELP = """\
Show the state of each replica of a running cluster; exit with 1 unless all are up.

  python deploy/local-cluster status
"""

ROLL_HELP = """\
Restart all replicas, one after the other, while the others answer: after a change
of the code, of packages or of the settings file.

It stops at the first one that does not come back. Environment variables stay as
they were at the start.

  python deploy/local-cluster roll
"""


def main() -> None:
    arguments = _parser().parse_args()
    cluster = Cluster.at(arguments.port, arguments.folder)
    try:
        arguments.run(cluster, arguments)
    except (ClusterError, SettingsError, OSError) as error:
        raise SystemExit(f"boxport: {error}") from error


def start(cluster: Cluster, arguments: argparse.Namespace) -> None:
    run(cluster, arguments.host, arguments.replicas)


def status(cluster: Cluster, arguments: argparse.Namespace) -> None:
    conditions = list_conditions(cluster)
    print(f"{'replica':9}{'address':24}{'pid':>8}{'inside':>8}{'answered':>10}  condition")
    for name, condition in conditions.items():
        inside, answered = (seen.inside, seen.answered) if (seen := condition.seen) else ("", "")
        numbers = f"{condition.process.pid:8}{inside:>8}{answered:>10}"
        print(f"{name:9}{cluster.url(name):24}{numbers}  {condition}")
    if not all(condition.up for condition in conditions.values()):
        raise SystemExit(1)


def roll_all(cluster: Cluster, arguments: argparse.Namespace) -> None:
    roll(cluster, arguments.seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python deploy/local-cluster",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = _command(commands, "start", start, START_HELP)
    command.add_argument(
        "--replicas", type=_replicas, default=2, metavar="N", help="default: %(default)s"
    )
    command.add_argument("--host", default="0.0.0.0", help="default: %(default)s")

    _command(commands, "status", status, STATUS_HELP)

    command = _command(commands, "roll", roll_all, ROLL_HELP)
    command.add_argument(
        "--seconds",
        type=float,
        default=180.0,
        metavar="S",
        help="for each replica to end and to start; default: %(default)s",
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[Cluster, argparse.Namespace], None],
    help_text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=help_text.split("\n\n")[0].replace("\n", " "),
        description=help_text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("--port", type=_port, default=3000, metavar="N", help="default: 3000")
    command.add_argument(
        "--folder", type=Path, help="of logs and sockets; default: .bentoml/cluster-<port>"
    )
    return command


def _replicas(text: str) -> int:
    number = int(text)
    if not 1 <= number < 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 99")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535 - 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 65435")
    return number


if __name__ == "__main__":
    main()

"""`python -m service`: the operator's commands, beside `bentoml serve`.

What takes long to import is imported where it is used: a container runs `healthcheck` every few
seconds.
"""

import argparse
import inspect
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from service.access.key_file import KeysError, Scope, add_entry, revoke_entry
from service.access.keys import new_key
from service.healthcheck import DEFAULT_PORT, PORT_VARIABLE, Unhealthy, check_health, ready_url
from service.rollout.command import RolloutError, add_arguments, run
from service.terminal import one_line_errors, positive_number, say
from service.version import __version__

PASSWORD = re.compile(r'(?<=//)(?:[^/@\s"\\]|\\.)+(?=@)')  # https://user:password@host, in JSON


def main() -> None:
    arguments = _parser().parse_args()
    arguments.run(arguments)


def serve(arguments: argparse.Namespace) -> None:
    """Serve on this machine, and say once ready how to try it; what `make serve` runs.

    It is `bentoml serve service.app:Boxport`, which containers run by itself, after a
    look whether the port is free and BENTOML_HOME can be written.

      python -m service serve
      python -m service serve --port 8080
    """
    from service.serve import StartError, serve
    from service.settings import SettingsError, read_settings

    with one_line_errors(SettingsError, StartError):
        serve(arguments.port, read_settings())


def settings(arguments: argparse.Namespace) -> None:
    """List all settings: value, where it comes from, and what it is for.

    A setting is an environment variable or a key of the TOML file that
    BOXPORT_SETTINGS_FILE names. The environment overrides the file, and the file the
    default.

      python -m service settings
      BOXPORT_MAX_IMAGES=8 python -m service settings
      BOXPORT_SETTINGS_FILE=boxport.toml python -m service settings --json
    """
    from service.settings import ModelSettings, Settings, SettingsError, read_settings, sources
    from service.settings_table import describe, table_of, warn_of_misspellings

    with one_line_errors(SettingsError):
        dumped, source = read_settings().model_dump_json(), sources()
    values = json.loads(PASSWORD.sub("***", dumped))
    warn_of_misspellings(list(Settings.model_fields))
    rows = [
        {
            "name": name,
            "value": values[name],
            "source": source[name],
            "description": description,
        }
        for name, description in describe(ModelSettings, Settings).items()
    ]
    print(json.dumps(rows, indent=2, ensure_ascii=False) if arguments.json else table_of(rows))


def key(arguments: argparse.Namespace) -> None:
    """Make an API key or revoke one.

    The key is printed once, on standard output; the file keeps only its hash. A
    running service reads the changed file without a restart.

      python -m service key shop-app --scope infer
      python -m service key ops --scope infer --scope admin --file /etc/boxport/keys.json
      python -m service key partner --scope infer --rate 20 --burst 40 --expires 2027-06-30
      python -m service key --revoke partner
    """
    file = arguments.file or _keys_file()
    asked = (arguments.scope, arguments.rate, arguments.burst, arguments.expires)
    with one_line_errors(KeysError):
        if arguments.revoke is None:
            _make_key(arguments.name, asked, file)
        elif any(option is not None for option in asked):
            raise SystemExit("boxport: --revoke takes no other option than --file")
        else:
            revoke_entry(file, arguments.revoke)
            say(f"{arguments.revoke} is revoked in {file}")


def _keys_file() -> Path:
    """That of the service's settings."""
    from service.settings import SettingsError, read_settings

    with one_line_errors(SettingsError):
        return read_settings().keys_file or Path("keys.json")


def _make_key(name: str, asked: tuple[Any, ...], file: Path) -> None:
    if not asked[0]:
        raise SystemExit(f"boxport: say what {name} may do: --scope {' or '.join(get_args(Scope))}")
    try:
        text, entry = new_key(name, *asked)
    except ValidationError as error:
        first = error.errors()[0]
        raise SystemExit(f"boxport: {': '.join([*map(str, first['loc']), first['msg']])}") from None
    add_entry(file, entry)
    print(text)
    say(f"this key of {name} is shown only now; {file} keeps its hash")


def archive(arguments: argparse.Namespace) -> None:
    """Write a model package as a file for BentoML's model store.

    To import it and to serve from that store:

      python -m service archive model_store/pets/1 pets.bentomodel
      bentoml models import pets.bentomodel
      BOXPORT_MODEL_STORE=bentoml bentoml serve service.app:Boxport
    """
    from service.package import PackageError
    from service.repository.archive import write_archive

    with one_line_errors(PackageError, OSError):
        tag = write_archive(arguments.package, arguments.file)
    say(f"{arguments.file} holds {tag}; next: bentoml models import {arguments.file}")


def openapi(arguments: argparse.Namespace) -> None:
    """Print the OpenAPI description of the service, which it serves at /docs.json.

    The other, for generators of clients, is simpler: one form of a request, and no
    unions. Both are kept in clients/. After a change of the API:

      python -m service openapi > clients/openapi.json
      python -m service openapi --generators > clients/openapi-generators.json
    """
    from service.http.openapi.document import dump_api
    from service.http.routes import ROUTES

    sys.stdout.write(dump_api(ROUTES, generators=arguments.generators))


def tune(arguments: argparse.Namespace) -> None:
    """Find the settings with the highest throughput on this machine.

    Each model is run here, without HTTP, in one layout after another: how many
    batches run at once on how many threads, how large batches are, how many photos
    are decoded at once. The fastest within the bound is written to the settings
    file, which keeps its other settings, or is made. On two processors that are idle
    otherwise it takes about four minutes a model, and more on more; it shows how much
    is left. All layouts give the same answers.

      python -m service tune --photos photos/ --slo-p99-ms 200
      python -m service tune --photos photos/ --slo-p99-ms 200 --model efficientdet_lite0_voc
      BOXPORT_SETTINGS_FILE=boxport.toml bentoml serve service.app:Boxport
    """
    from service.tuning.command import tune

    tune(
        arguments.photos,
        arguments.slo_p99_ms,
        arguments.model,
        arguments.seconds,
        arguments.output,
        all_=arguments.all,
    )


def rollout(arguments: argparse.Namespace) -> None:
    """Try a version on live traffic, see how it does, and end its trial.

    A running service is asked over HTTP, with the key in BOXPORT_API_KEY, which needs
    the scope admin but for status. What the words mean: docs/rollout.md.

      python -m service rollout start pets/2 --shadow 0.1
      python -m service rollout start pets/2 --canary 0.05 --sticky X-User
      python -m service rollout start pets/2 --canary 0.05 0.25 1 --step-seconds 600
      python -m service rollout status
      python -m service rollout status pets/2
      python -m service rollout promote pets/2
      python -m service rollout abort pets/2
    """
    with one_line_errors(RolloutError):
        run(arguments)


def healthcheck(arguments: argparse.Namespace) -> None:
    """Ask a service whether it is ready; exit with 0 if it is, and with 1 if not.

    In a Dockerfile:  HEALTHCHECK CMD ["python", "-m", "service", "healthcheck"]

      python -m service healthcheck
      python -m service healthcheck --url http://localhost:8080/livez
    """
    with one_line_errors(Unhealthy):
        check_health(arguments.url or ready_url(os.environ), arguments.timeout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service", description="The operator's commands, beside `bentoml serve`."
    )
    parser.add_argument("--version", action="version", version=f"boxport {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = _command(commands, serve)
    command.add_argument(
        "--port", type=int, default=int(DEFAULT_PORT), metavar="N", help="default: %(default)s"
    )

    command = _command(commands, settings)
    command.add_argument("--json", action="store_true", help="for programs")

    command = _command(commands, key)
    who = command.add_mutually_exclusive_group(required=True)
    who.add_argument("name", nargs="?", metavar="NAME", help="of the caller; stands in logs")
    who.add_argument("--revoke", metavar="NAME", help="take this key out of the file")
    command.add_argument(
        "--scope",
        action="append",
        choices=get_args(Scope),
        help="what the key allows; may be repeated, neither includes the other",
    )
    command.add_argument("--rate", type=float, metavar="N", help="requests a second")
    command.add_argument("--burst", type=int, metavar="N", help="requests at once after a pause")
    command.add_argument(
        "--expires", type=date.fromisoformat, metavar="DATE", help="the last day, in UTC"
    )
    command.add_argument(
        "--file", type=Path, help="default: BOXPORT_KEYS_FILE, and without it keys.json"
    )

    command = _command(commands, archive)
    command.add_argument(
        "package", type=Path, metavar="PACKAGE", help="its folder, <name>/<version>"
    )
    command.add_argument("file", type=Path, metavar="FILE", help="such as pets.bentomodel")

    command = _command(commands, openapi)
    command.add_argument("--generators", action="store_true", help="for generators of clients")

    command = _command(commands, tune)
    command.add_argument(
        "--photos",
        type=Path,
        required=True,
        metavar="DIR",
        help="photos like those that will be sent",
    )
    command.add_argument(
        "--slo-p99-ms",
        type=positive_number,
        required=True,
        metavar="N",
        help="bound of the latency of 99 of 100 photos, in milliseconds",
    )
    command.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="may be repeated; default: every model of the store",
    )
    command.add_argument(
        "--seconds",
        type=positive_number,
        default=6.0,
        metavar="S",
        help="for each measurement; default: %(default)s",
    )
    command.add_argument(
        "--all", action="store_true", help="measure every layout, not one setting after another"
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: BOXPORT_SETTINGS_FILE, and without it boxport.toml",
    )

    add_arguments(_command(commands, rollout))

    command = _command(commands, healthcheck)
    command.add_argument(
        "--url",
        help=f"default: /readyz here, on port {PORT_VARIABLE}, and without it {DEFAULT_PORT}",
    )
    command.add_argument(
        "--timeout", type=float, default=3.0, metavar="SECONDS", help="default: %(default)s"
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    """The command that ``run`` carries out; its name and its docstring are the command's."""
    text = inspect.getdoc(run) or ""
    command = commands.add_parser(
        run.__name__,
        help=text.partition("\n")[0],
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` is no error
    main()

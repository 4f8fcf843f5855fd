"""`boxport config`"""

import json
import sys
from enum import Enum
from typing import Annotated, Optional

import typer
from rich.console import Console

from boxport_client import Client
from boxport_client.cli import options as given
from boxport_client.cli.config_file import config_path, write_key
from boxport_client.cli.endings import Refused
from boxport_client.cli.settings import find_service, hidden
from boxport_client.cli.table import new_table
from boxport_client.cli.terminal import printable, say, shows_table

app = typer.Typer(rich_markup_mode="rich")


class Key(str, Enum):
    """What the configuration holds."""

    url = "url"
    api_key = "api_key"


Wanted = Annotated[Key, typer.Argument(metavar="url|api_key", show_default=False)]
Value = Annotated[
    Optional[str],
    typer.Argument(
        metavar="[VALUE]",
        help="Asked for, or read from standard input, if it is not given: so no one sees a key.",
        show_default=False,
    ),
]
Profile = Annotated[
    Optional[str],
    typer.Option(
        "--profile",
        metavar="NAME",
        help="The profile that is meant; what holds without one if not given.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON in a terminal too.")]


@app.callback(invoke_without_command=True)
def config(
    context: typer.Context,
    as_json: AsJson = False,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
) -> None:
    """Show which service is asked, with which key, and where that is said; or change it.

    The file is config.toml in $XDG_CONFIG_HOME/boxport, or ~/.config/boxport:

    \b
      url = "http://localhost:3000"
      profiles.shop.url = "https://boxport.shop.example"
      profiles.shop.api_key = "..."

    The command line goes before all else; then comes the profile that it names,
    then BOXPORT_URL and BOXPORT_API_KEY, then the file, then
    http://localhost:3000. A key of the file goes only to the address beside it.

    \b
      boxport config
      boxport config set url https://boxport.example
      boxport config set api_key --profile shop
      boxport detect cat.jpg --profile shop
    """
    if context.invoked_subcommand is not None:
        return
    service = find_service(url, api_key, profile)
    key = service.api_key.value
    rows = (
        ("url", service.shown_address, service.url.source),
        ("api_key", None if key is None else hidden(key), service.api_key.source),
    )
    if not shows_table(as_json):
        content = {name: {"value": value, "source": source} for name, value, source in rows}
        sys.stdout.write(json.dumps(content) + "\n")
        return
    table = new_table("setting", "value", "from")
    for row in rows:
        table.add_row(*(printable(cell or "") for cell in row))
    Console(highlight=False).print(table)
    say(f"the file: {config_path()}")


@app.command("set")
def set_key(key: Wanted, value: Value = None, profile: Profile = None) -> None:
    """Write a key of the configuration. What else is in the file stays, comments too.

    \b
      boxport config set url https://boxport.example
      boxport config set api_key --profile shop
      pass show boxport | boxport config set api_key
    """
    text = _asked_for(key) if value is None else value
    # whatever no client takes is not written
    Client(text).close() if key is Key.url else Client(api_key=text).close()
    say(f"wrote {key.value} to {write_key(key.value, text, profile)}")


@app.command("unset")
def unset_key(key: Wanted, profile: Profile = None) -> None:
    """Take a key out of the configuration.

    \b
      boxport config unset api_key --profile shop
    """
    say(f"took {key.value} out of {write_key(key.value, None, profile)}")


def _asked_for(key: Key) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(key.value, hide_input=key is Key.api_key, err=True))
    text = sys.stdin.readline().strip()
    if not text:
        raise Refused(f"{key.value} has no value; give one: boxport config set {key.value} VALUE")
    return text

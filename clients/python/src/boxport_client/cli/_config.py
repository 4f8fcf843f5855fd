"""`boxport config`"""

import json
import sys
from enum import Enum
from typing import Annotated

import typer

from boxport_client import Client
from boxport_client.cli import _options as given
from boxport_client.cli._config_file import config_path, write_key
from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._settings import find_service, hidden
from boxport_client.cli._terminal import new_table, printable, say, shows_table, stdout

app = typer.Typer(rich_markup_mode="rich")


class Key(str, Enum):
    """The keys of the configuration."""

    url = "url"
    api_key = "api_key"


Wanted = Annotated[Key, typer.Argument(metavar="url|api_key", show_default=False)]
Value = Annotated[
    str | None,
    typer.Argument(
        metavar="VALUE",
        help="Prompted for, or read from standard input, if not given: so nobody sees a key.",
        show_default=False,
    ),
]
Profile = Annotated[
    str | None,
    given.option(None, "--profile", "NAME", "The profile to change; else the top of the file."),
]
AsJson = Annotated[
    bool, given.option(None, "--json", None, "Write JSON in a terminal too: one object.")
]


@app.callback(invoke_without_command=True)
def config(
    context: typer.Context,
    as_json: AsJson = False,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
) -> None:
    """Show the service's address and key, and where they come from; or change them.

    The file is config.toml in $XDG_CONFIG_HOME/boxport, or ~/.config/boxport:

    \b
      url = "http://localhost:3000"
      profiles.shop.url = "https://boxport.shop.example"
      profiles.shop.api_key = "..."

    The command line goes first; then the profile that it names, then
    BOXPORT_URL and BOXPORT_API_KEY, then the top of the file, then
    http://localhost:3000. A key of the file is sent only to the address beside it.

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
    stdout.print(table)
    say(f"the file: {config_path()}")


@app.command("set")
def set_key(key: Wanted, value: Value = None, profile: Profile = None) -> None:
    """Set a key of the configuration. The rest of the file stays, comments too.

    \b
      boxport config set url https://boxport.example
      boxport config set api_key --profile shop
      pass show boxport | boxport config set api_key
    """
    text = _asked_for(key) if value is None else value
    # a client refuses an invalid value, before it is written
    Client(text).close() if key is Key.url else Client(api_key=text).close()
    say(f"wrote {key.value} to {write_key(key.value, text, profile)}")


@app.command("unset")
def unset_key(key: Wanted, profile: Profile = None) -> None:
    """Remove a key from the configuration.

    \b
      boxport config unset api_key --profile shop
    """
    say(f"removed {key.value} from {write_key(key.value, None, profile)}")


def _asked_for(key: Key) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(key.value, hide_input=key is Key.api_key, err=True))
    text = sys.stdin.readline().strip()
    if not text:
        raise CommandError(
            f"{key.value} has no value; give one: boxport config set {key.value} VALUE"
        )
    return text

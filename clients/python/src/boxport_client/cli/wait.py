"""`boxport wait`"""

import sys
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.text import Text

from boxport_client.cli import options as given
from boxport_client.cli.settings import find_service
from boxport_client.cli.terminal import aside, printable

Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.001, help="How long to wait before giving up."
    ),
]


def wait(
    timeout: Timeout = 60.0,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
) -> None:
    """Wait until the service is ready: every model is loaded.

    \b
      boxport wait && boxport detect photos/
      boxport wait --timeout 300 --url http://boxport:3000

    Exit status: 0 it is ready, 3 it is not after so many seconds.
    """
    service = find_service(url, api_key, profile)
    words = Text(printable(f"waiting for {service.shown_address}"))
    waiting = aside.status(words) if sys.stderr.isatty() else nullcontext()
    with service.client() as client, waiting:
        client.wait_until_ready(timeout)

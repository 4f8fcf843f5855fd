"""The command and its subcommands."""

from typing import Annotated

import typer

from boxport_client import __version__
from boxport_client.cli._bench import bench
from boxport_client.cli._classify import classify
from boxport_client.cli._config import app as config
from boxport_client.cli._detect import detect
from boxport_client.cli._models import models
from boxport_client.cli._video import video
from boxport_client.cli._wait import wait

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"boxport {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def boxport(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Find objects in photos, or classify them, with a Boxport service.

    \b
      boxport wait                        until the service is ready
      boxport detect cat.jpg              find the objects in a photo
      boxport classify cat.jpg            classify a photo
      boxport video film.mp4              find the objects in its frames
      boxport config set url https://boxport.example

    \b
    Exit status: 0 all photos were answered, 1 some failed, 2 wrong usage or
    setting, 3 the service cannot be reached or refuses, 130 interrupted.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(detect)
app.command()(classify)
app.command()(video)
app.command()(models)
app.command()(wait)
app.command()(bench)
app.add_typer(config, name="config")

"""`boxport models`"""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from boxport_client import ModelInfo
from boxport_client.cli import options as given
from boxport_client.cli.settings import find_service
from boxport_client.cli.table import new_table
from boxport_client.cli.terminal import printable, shows_table

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Write JSON in a terminal too: each model's manifest on a line."),
]
TITLES = ("model/version", "task", "input", "runs in")
ACCURACIES = (("ap", "AP"), ("top1", "top-1"))  # of a detector and of a classifier


def models(
    as_json: AsJson = False,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    timeout: given.Timeout = 30.0,
) -> None:
    """List the models of the service, and how accurate they were measured to be.

    In a terminal as a table, into a pipe as JSON: a model's manifest a line.

    \b
      boxport models
      boxport models | jq -r 'select(.task == "detection") | .name'
      boxport models | jq -r 'select(.name == "pets") | .labels[].name'
    """
    with find_service(url, api_key, profile).client(timeout) as client:
        found = client.models()
    if not shows_table(as_json):
        for model in found:
            sys.stdout.write(json.dumps(dict(model.manifest)) + "\n")
        return
    table = new_table(*TITLES, numbers=("accuracy",))
    for model in found:
        table.add_row(*map(printable, _cells(model)))
    Console(highlight=False).print(table)


def _cells(model: ModelInfo) -> tuple[str, ...]:
    size = model.manifest.get("input", {})
    return (
        f"{model.name}/{model.version}",
        model.task,
        f"{size['width']} x {size['height']}" if "width" in size else "",
        _running(model.manifest, model.manifest.get("status", {})),
        _accuracy(model.manifest.get("accuracy")) or "not measured",
    )


def _running(manifest: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """The precision, what runs it, and the state unless that is as it should be."""
    parts = [status.get("precision") or manifest.get("precision"), status.get("provider")]
    if status.get("state") != "ready":
        parts.append(status.get("state"))
    return ", ".join(filter(None, parts))


def _accuracy(measured: Optional[Any]) -> str:
    """The figure that a model is judged by, in points of a hundred."""
    metrics = measured.get("metrics", {}) if measured else {}
    for key, name in ACCURACIES:
        if key in metrics:
            return f"{name} {100 * metrics[key]:.1f}"
    return ""

"""`boxport models`"""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

from boxport_client import ModelInfo
from boxport_client.cli import _options as given
from boxport_client.cli._settings import find_service
from boxport_client.cli._terminal import new_table, printable, shows_table, stdout

AsJson = Annotated[
    bool,
    given.option(None, "--json", None, "Write JSON lines in a terminal too: one object per model."),
]
Full = Annotated[
    bool,
    given.option(None, "--full", None, "Write the models' manifests as they are, labels too."),
]
# What a summary has of a manifest; of the labels it says how many there are.
SUMMARY = (
    *("name", "version", "task", "labels", "input"),
    *("defaults", "precision", "accuracy", "status"),
)
TITLES = ("model/version", "task", "input", "runs in")
ACCURACIES = (("ap", "AP"), ("top1", "top-1"))  # of a detector and of a classifier


def models(
    as_json: AsJson = False,
    full: Full = False,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    ca_file: given.CaFile = None,
    timeout: given.Timeout = 30.0,
) -> None:
    """List the models of the service and their measured accuracy.

    A terminal gets a table, a pipe JSON lines: a summary of each model, or with
    --full its manifest.

    \b
      boxport models
      boxport models | jq -r 'select(.task == "detection") | .name'
      boxport models --full | jq -r 'select(.name == "pets") | .labels[].name'
    """
    with find_service(url, api_key, profile, ca_file).client(timeout) as client:
        found = client.models()
    if not shows_table(as_json or full):
        for model in found:
            content = dict(model.manifest) if full else _summary(model)
            sys.stdout.write(json.dumps(content) + "\n")
        return
    table = new_table(*TITLES, numbers=("accuracy",))
    for model in found:
        table.add_row(*map(printable, _cells(model)))
    stdout.print(table)
    if any(map(_is_default, found)):
        stdout.print("* answers requests that name no model")


def _summary(model: ModelInfo) -> dict[str, Any]:
    manifest = model.manifest
    content = {name: manifest[name] for name in SUMMARY if name in manifest}
    if "labels" in manifest:
        content["labels"] = len(model.labels)
    if manifest.get("accuracy"):
        content["accuracy"] = manifest["accuracy"].get("metrics")
    return content


def _cells(model: ModelInfo) -> tuple[str, ...]:
    size = model.manifest.get("input", {})
    return (
        f"{model.name}/{model.version}{' *' if _is_default(model) else ''}",
        model.task,
        f"{size['width']} x {size['height']}" if "width" in size else "",
        _running(model.manifest, model.manifest.get("status", {})),
        _accuracy(model.manifest.get("accuracy")) or "not measured",
    )


def _is_default(model: ModelInfo) -> bool:
    """Whether it answers requests of its task that name none."""
    return bool(model.manifest.get("status", {}).get("is_default"))


def _running(manifest: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """The precision, the execution provider, and the state unless that is "ready"."""
    parts = [status.get("precision") or manifest.get("precision"), status.get("provider")]
    if status.get("state") != "ready":
        parts.append(status.get("state"))
    return ", ".join(filter(None, parts))


def _accuracy(measured: Any) -> str:
    """The model's main metric, in per cent."""
    metrics = measured.get("metrics", {}) if measured else {}
    for key, name in ACCURACIES:
        if key in metrics:
            return f"{name} {100 * metrics[key]:.1f}"
    return ""

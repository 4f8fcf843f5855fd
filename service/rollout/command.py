"""`python -m service rollout`: asks a running service over HTTP.

Only the standard library is imported.
"""

import argparse
import json
import os
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from service.healthcheck import DEFAULT_PORT, PORT_VARIABLE

KEY_VARIABLE = "BOXPORT_API_KEY"
SECONDS = 330.0  # a version is loaded in this time
BOUNDS = ("errors", "p99_ratio", "p99_ms", "disagreement", "min_samples")  # of a guard


class RolloutError(Exception):
    """The service refuses, or is not there; the message says why."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The command's own: an action, and what it needs."""
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, about in (
        ("start", "begin a trial, in place of the model's last"),
        ("status", "show a trial, or all"),
        ("promote", "from now on the model's name means the version"),
        ("abort", "end a trial; the version answers nobody that does not name it"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        number = "?" if name == "status" else None
        action.add_argument("model", metavar="NAME/VERSION", nargs=number)
        action.add_argument("--url", help="of the service; default: this machine's")
        if name == "start":
            _add_order(action)


def _add_order(action: argparse.ArgumentParser) -> None:
    mode = action.add_mutually_exclusive_group(required=True)
    mode.add_argument(
        "--shadow", type=float, metavar="SHARE", help="run copies of this share of the requests"
    )
    mode.add_argument(
        "--canary",
        type=float,
        nargs="+",
        metavar="SHARE",
        help="answer this share of the requests; several are a schedule that ends in promotion",
    )
    for option, kind, about in (
        ("--step-seconds", float, "how long each share of a schedule lasts; default: 600"),
        ("--sticky", str, "header by which a user keeps one version"),
        ("--compare", float, "share of the other requests that it runs too"),
        ("--errors", float, "bound of the share of failed requests; default: 0.01"),
        ("--p99-ratio", float, "bound of p99, in times the other version's; default: 2"),
        ("--p99-ms", float, "bound of p99 in milliseconds"),
        ("--disagreement", float, "bound of the share of differing answers; default: 0.05"),
        ("--min-samples", int, "requests, or compared photos, before that; default: 20"),
    ):
        action.add_argument(option, type=kind, help=about)


def run(arguments: argparse.Namespace) -> None:
    """Do what the arguments say; raises RolloutError."""
    ACTIONS[arguments.action](arguments)


def start(arguments: argparse.Namespace) -> None:
    mode, order = order_of(arguments)
    show(_ask(arguments, mode, order))


def status(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        show(_ask(arguments, "shadow"))
        return
    models = _request(arguments, "/v1/models", None)["models"]
    rows = [row for model in models if (row := _row(model))]
    print("\n".join(rows) if rows else "No version is on trial.")


def promote(arguments: argparse.Namespace) -> None:
    _ask(arguments, "promote", {})
    show(_ask(arguments, "shadow"))


def abort(arguments: argparse.Namespace) -> None:
    _ask(arguments, "abort", {})
    show(_ask(arguments, "shadow"))


ACTIONS = {"start": start, "status": status, "promote": promote, "abort": abort}


def order_of(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The mode that is asked for, and the body of its request."""
    if arguments.shadow is not None:
        return "shadow", {"share": arguments.shadow}
    guard = {name: value for name in BOUNDS if (value := getattr(arguments, name)) is not None}
    shares = arguments.canary
    order = {
        **({"share": shares[0]} if len(shares) == 1 else {"schedule": shares}),
        "step_seconds": arguments.step_seconds,
        "sticky": arguments.sticky and f"header {arguments.sticky}",
        "compare": arguments.compare,
        "guard": guard or None,
    }
    return "canary", {name: value for name, value in order.items() if value is not None}


def show(report: dict[str, Any]) -> None:
    """Print what is known of a rollout, for people."""
    print("\n".join(lines_of(report)))


def lines_of(report: dict[str, Any]) -> list[str]:
    share = f" at {report['share']:.1%}" if report["phase"] == "running" else ""
    lines = [f"{report['model']}/{report['version']}: {report['mode']}, {report['phase']}{share}"]
    if reason := report.get("reason"):
        lines.append(f"  because {reason}")
    for title, name in (
        ("agreement", "agreement"),
        ("label changes", "label_changes"),
        ("score difference", "score_difference"),
    ):
        if found := report.get(name):
            low, value, high = (found[key] for key in ("low", "value", "high"))
            lines.append(f"  {title:<17} {value:.4f}  ({low:.4f} to {high:.4f})")
    counts = f"{report['compared']}, dropped {report['dropped']}, failed {report['failed']}"
    lines.append(f"  {'photos compared':<17} {counts}")
    for title in ("candidate", "baseline"):
        if side := report.get(title):
            lines.append(f"  {title:<17} {_side(side)}")
    return lines


def _side(side: dict[str, Any]) -> str:
    words = [f"version {side['version']}", f"{side['requests']} requests"]
    if errors := side.get("errors"):
        words.append(f"{errors['value']:.2%} failed")
    for name, title in (("p50_ms", "p50"), ("p99_ms", "p99")):
        if name in side:
            words.append(f"{title} {side[name]:.1f} ms")
    if inference := side.get("inference_ms"):
        words.append(f"inference {inference['value']:.1f} ms")
    if "memory_bytes" in side:
        words.append(f"{side['memory_bytes'] / 1e6:.0f} MB")
    return ", ".join(words)


def _row(model: dict[str, Any]) -> str | None:
    found = model["status"].get("rollout")
    if found is None:
        return None
    name = f"{model['name']}/{model['version']}"
    because = f": {found['reason']}" if "reason" in found else ""
    return f"{name:<40} {found['mode']:<7} {found['phase']:<11} {found['share']:.1%}{because}"


def _ask(
    arguments: argparse.Namespace, action: str, order: dict[str, Any] | None = None
) -> dict[str, Any]:
    name, _, version = arguments.model.partition("/")
    if not name or not version:
        raise RolloutError(f"{arguments.model} names no version; give name/version, as pets/2")
    path = f"/v1/models/{quote(name, safe='')}/{quote(version, safe='')}/{action}"
    return _request(arguments, path, order)


def _request(
    arguments: argparse.Namespace, path: str, order: dict[str, Any] | None
) -> dict[str, Any]:
    """The JSON at ``path``, after a POST of ``order`` if there is one."""
    url = arguments.url or f"http://127.0.0.1:{os.environ.get(PORT_VARIABLE) or DEFAULT_PORT}"
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    body = None if order is None else json.dumps(order).encode()
    try:
        with urlopen(Request(url.rstrip("/") + path, body, headers), timeout=SECONDS) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer
    except HTTPError as error:
        with error:
            raise RolloutError(_detail(error)) from None
    except (OSError, ValueError, HTTPException) as error:  # the last two: no URL, or no HTTP
        raise RolloutError(f"{url}: {getattr(error, 'reason', error)}") from None


def _detail(error: HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answers {error.code}"

"""`python -m service serve`: `bentoml serve` for whoever tries Boxport on this machine.

It refuses at once, in one line, what BentoML would end on in a traceback, and says once the service
is ready where it is, how to ask it and how to stop it.
"""

import json
import os
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import psutil

from service.healthcheck import PORT_VARIABLE, Unhealthy, check_health
from service.settings import Settings

HOME_VARIABLE = "BENTOML_HOME"
POLL_SECONDS = 0.1
PHOTOS = {"detect": "docs/photos/cat.jpg", "classify": "docs/photos/coffee.jpg"}


class StartError(Exception):
    """What the service cannot start with: a port, a folder."""


def serve(port: int, settings: Settings) -> None:
    """Become `bentoml serve` on ``port``, while another process waits until it is ready and then
    prints three lines; raises StartError, before anything is started."""
    check_port(port)
    check_home(Path(os.environ.get(HOME_VARIABLE) or Path.home() / "bentoml"))
    _greet_in_background(f"http://localhost:{port}{settings.root_path}", settings)
    bentoml = Path(sys.executable).with_name("bentoml")
    environment = {**os.environ, PORT_VARIABLE: str(port)}
    os.execve(bentoml, [str(bentoml), "serve", "service.app:Boxport"], environment)


def check_port(port: int, remedy: str = "make serve PORT=8080") -> None:
    """Raises StartError if the service could not listen on ``port`` of every address.

    remedy: how to take another.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StartError(
                f"port {port} cannot be used: {reason}; stop what listens there, or take another:"
                f" {remedy}"
            ) from error


def check_home(folder: Path) -> None:
    """Make BentoML's home; raises StartError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**16))
            probe.flush()
    except OSError as error:
        raise StartError(
            f"{folder} cannot be written: {error.strerror}; name another by {HOME_VARIABLE}=…"
        ) from error


def _greet_in_background(url: str, settings: Settings) -> None:
    """By a grandchild of this process, which will be the server and does not wait for children."""
    server = os.getpid()
    if os.fork() == 0:
        try:
            if os.fork() == 0:
                greet(url, settings, server)
        finally:  # whatever happens, neither goes on as the server
            os._exit(0)
    os.wait()


def greet(url: str, settings: Settings, server: int) -> None:
    """Wait until the service at ``url`` is ready and print the three lines; give up once the
    process ``server`` has ended."""
    while psutil.pid_exists(server):
        try:
            check_health(f"{url}/readyz", timeout=5)
        except Unhealthy:
            time.sleep(POLL_SECONDS)
            continue
        print(*greeting(url, settings), sep="\n", flush=True)
        return


def greeting(url: str, settings: Settings) -> Iterator[str]:
    """What to do with a service that has just become ready at ``url``, in three lines."""
    page = "playground" if settings.playground else "docs"
    key = " -H 'X-API-Key: …'" if settings.keys_file else ""
    route = _route(url)
    photo = shlex.quote(os.path.relpath(Path(__file__).parents[1] / PHOTOS[route]))
    yield f"boxport: ready; try it in a browser: {url}/{page}"
    yield f"boxport: or from a shell: curl -s -F images=@{photo}{key} {url}/v1/{route}"
    yield "boxport: Ctrl-C stops it"


def _route(url: str) -> str:
    """The route that the served models answer: that of detection, if any does."""
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/v1/models", timeout=5) as reply:
            tasks = {model["task"] for model in json.load(reply)["models"]}
    except OSError:  # it takes a key
        return "detect"
    return "detect" if "detection" in tasks else "classify"

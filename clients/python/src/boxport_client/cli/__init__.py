"""The command `boxport`: every error is one line on stderr and an exit status."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from typing import NoReturn

NEEDED = ("typer", "rich", "tomlkit")
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line, and exit."""
    if not all(map(importlib.util.find_spec, NEEDED)):
        print("error: packages are missing: pip install 'boxport-client[cli]'", file=sys.stderr)
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        # letters that a terminal's encoding lacks must not cost the answers
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    try:
        from boxport_client.cli._exit_status import run_command

        status = run_command(_run_app)
    except KeyboardInterrupt:  # before anything was started
        status = INTERRUPTED
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if status > 128:
        # Threads that still wait for an answer would keep the process alive until it comes.
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _run_app() -> int:
    from boxport_client.cli._app import app

    return app(prog_name="boxport", standalone_mode=False) or 0

"""What `python -m service settings` shows: the settings as a table, and names that are none."""

import ast
import inspect
import json
import os
import shutil
from difflib import get_close_matches
from itertools import pairwise, zip_longest
from textwrap import TextWrapper
from typing import Any

from service.terminal import say

VALUE_WIDTH = 30  # characters


def table_of(rows: list[dict[str, Any]]) -> str:
    """A row for each setting; values and descriptions are wrapped at spaces to fit the terminal."""
    values = TextWrapper(VALUE_WIDTH, break_long_words=False, break_on_hyphens=False)
    cells = [[[row["name"]], values.wrap(_text(row["value"])), [row["source"]]] for row in rows]
    columns = zip(*cells, strict=True)
    widths = [max(len(line) for cell in column for line in cell) + 2 for column in columns]
    room = max(30, shutil.get_terminal_size().columns - sum(widths))
    descriptions = TextWrapper(room, break_on_hyphens=False)
    lines = []
    for row, cell in zip(rows, cells, strict=True):
        for parts in zip_longest(*cell, descriptions.wrap(row["description"]), fillvalue=""):
            lines.append("".join(map(str.ljust, parts, [*widths, 0])).rstrip())
    return "\n".join(lines)


def _text(value: Any) -> str:
    """As in the environment, or else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def describe(*classes: type) -> dict[str, str]:
    """The docstrings below the fields of ``classes``, by name, read from the source: pydantic would
    do it each time that a process starts."""
    found = {}
    for one in classes:
        for statements in pairwise(ast.walk(ast.parse(inspect.getsource(one)))):
            match statements:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = " ".join(text.split())
    return found


def warn_of_misspellings(fields: list[str]) -> None:
    """Of near misses only: Kubernetes sets BOXPORT_PORT and others for a Service named boxport."""
    names = {f"BOXPORT_{field.upper()}" for field in fields} | {"BOXPORT_SETTINGS_FILE"}
    for variable in sorted(os.environ.keys() - names):
        close = get_close_matches(variable, names, n=1, cutoff=0.9)
        if close and variable.startswith("BOXPORT_"):
            say(f"{variable} is set, but is no setting; did you mean {close[0]}?")

"""Which of a command's outputs go where."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from boxport_client.cli.endings import Refused
from boxport_client.cli.layouts import Layout, R
from boxport_client.cli.outputs import CsvRows, JsonLines, Output, open_output
from boxport_client.cli.sources import Source
from boxport_client.cli.table import TableOfAnswers
from boxport_client.cli.terminal import shows_table

TO_STDOUT = "-"


def chosen_outputs(
    stack: ExitStack, sources: Sequence[Source], layout: Layout[R], as_json: bool, csv: str | None
) -> tuple[list[Output[R]], bool]:
    """What `--json` and `--csv` ask for, and whether stdout gets a table for a person.

    Files are closed by ``stack``. Raises Refused and OSError.
    """
    if csv == TO_STDOUT:
        if as_json:
            raise Refused("--json and --csv - both write to standard output; choose one")
        return [CsvRows(None, layout)], False
    outputs: list[Output[R]] = []
    with_table = shows_table(as_json)
    outputs.append(TableOfAnswers(layout) if with_table else JsonLines())
    if csv is not None:
        outputs.append(CsvRows(stack.enter_context(open_output("--csv", csv, sources)), layout))
    return outputs, with_table

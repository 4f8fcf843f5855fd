"""`python -m export`: turn checkpoints into model packages, verify and measure them."""

import typer

from export.commands.convert import convert
from export.commands.create import create
from export.commands.evaluate import evaluate
from export.commands.sign import keygen, sign
from export.commands.verify import verify

app = typer.Typer(
    help="Turn checkpoints into model packages; convert, measure, verify and sign packages.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(create)
app.command()(convert)
app.command()(evaluate)
app.command()(verify)
app.command()(sign)
app.command()(keygen)


if __name__ == "__main__":
    app()

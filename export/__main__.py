"""`python -m export`: turn checkpoints into model packages, verify and measure them."""

import typer

from export.commands.adopt import adopt
from export.commands.convert import convert
from export.commands.create import create
from export.commands.evaluate import evaluate
from export.commands.label import label
from export.commands.novelty import novelty
from export.commands.sign import keygen, sign
from export.commands.verify import verify

app = typer.Typer(
    help="Turn checkpoints and ONNX files into model packages; convert, measure, verify and sign"
    " them.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(create)
app.command()(adopt)
app.command()(convert)
app.command()(evaluate)
app.command()(label)
app.command()(novelty)
app.command()(verify)
app.command()(sign)
app.command()(keygen)


if __name__ == "__main__":
    app()

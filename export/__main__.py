"""`python -m export`: turn checkpoints into model packages, and prove what they are worth."""

import typer

from export.commands.create import create

app = typer.Typer(
    help="Turn checkpoints into model packages, and prove what they are worth.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(create)


@app.callback()
def main() -> None:
    """Keeps `create` a command of its own while it is the only one."""


if __name__ == "__main__":
    app()

"""`python -m export keygen` and `python -m export sign`: keys, and signatures of packages."""

from pathlib import Path
from typing import Annotated

import typer


def keygen(
    private: Annotated[Path, typer.Option(help="File for the private key, to be kept secret.")],
    public: Annotated[Path, typer.Option(help="File for the public key, to be handed out.")],
) -> None:
    """Make a pair of ed25519 keys to sign packages with."""
    from export.commands.terminal import console, one_line_errors
    from export.signing import make_keys

    with one_line_errors():
        make_keys(private, public)
    console.print(f"wrote {private} (keep it secret) and {public}", soft_wrap=True)


def sign(
    packages: Annotated[
        list[Path],
        typer.Argument(help="Folders STORE/NAME/VERSION of packages.", show_default=False),
    ],
    key: Annotated[Path, typer.Option(help="The private key, a PEM file.")],
) -> None:
    """Sign packages, so that a service that requires signatures serves them.

    The signature is of a list of all their files by sha256: sign when nothing more is to come. A
    package that cannot be signed does not stop the others. Exit status: 0 if all were signed, 1 if
    not.
    """
    from export.commands.terminal import console, one_line_errors
    from export.signing import sign as sign_package
    from service.signature import LIST_FILE, SIGNATURE_FILE

    signed = True
    for package in packages:
        try:
            with one_line_errors():
                sign_package(package, key)
                console.print(f"wrote {package / LIST_FILE} and {SIGNATURE_FILE}", soft_wrap=True)
        except typer.Exit as end:
            if end.exit_code != 1:  # an interruption
                raise
            signed = False
    if not signed:
        raise typer.Exit(1)

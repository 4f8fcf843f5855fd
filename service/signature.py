"""Signatures of packages: ed25519 (RFC 8032) over a list of all their files by sha256.

The list is what `sha256sum` writes and checks; the signature is 64 bytes and nothing else, as
`openssl pkeyutl -verify -rawin` reads them. A file that is not listed refuses the package, so that
nothing can be added to what was signed. `cryptography` is imported where it is needed: a service
that asks for no signature does not load it.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.manifest_file import read_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LIST_FILE = "SHA256SUMS"
SIGNATURE_FILE = "SHA256SUMS.sig"
SIGNATURE_BYTES = 64
OLD_SIGNATURE_FILE = "manifest.sig"  # until 0.2, over the manifest alone
# What is no part of the package: the signature itself, and what BentoML's store adds to a model.
NOT_LISTED = (LIST_FILE, SIGNATURE_FILE, "model.yaml")
# Names that mean one file on every system: no folders, no characters that are written in two ways,
# no dot at the end, which Windows leaves out.
FILE_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class SignatureError(Exception):
    """A key that cannot be used, or a package that none of the keys has signed; says which."""


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """An ed25519 key from a PEM file; raises SignatureError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{path}: holds no public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{path}: is no ed25519 key; `python -m export keygen` makes one")
    return key


def check_signature(folder: Path, public_keys: Sequence[Path]) -> Path:
    """The one of ``public_keys`` that signed the package in ``folder`` as it is, with all its files
    and no other.

    Raises SignatureError if none did, or if a file was changed, added or taken away since.
    """
    from cryptography.exceptions import InvalidSignature

    keys = [(path, read_public_key(path)) for path in public_keys]
    signature, content = read_signature(folder), _read(folder / LIST_FILE)
    for path, key in keys:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        check_files(folder, content)
        return path
    names = " or ".join(str(path) for path in public_keys)
    raise SignatureError(
        f"{folder / SIGNATURE_FILE}: is no signature of {LIST_FILE} by {names}; the list was"
        " changed after it was signed, or somebody else signed it"
    )


def read_signature(folder: Path) -> bytes:
    """The 64 bytes of a package's signature; raises SignatureError."""
    path = folder / SIGNATURE_FILE
    if not path.exists():
        remedy = f"`python -m export sign` writes {SIGNATURE_FILE}"
        if (folder / OLD_SIGNATURE_FILE).exists():
            raise SignatureError(
                f"{folder}: {OLD_SIGNATURE_FILE} covers {MANIFEST_FILE} alone; {remedy}"
            )
        raise SignatureError(f"{folder}: is not signed; {remedy}")
    signature = _read(path)
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"{path}: has {len(signature)} bytes, not {SIGNATURE_BYTES}")
    return signature


def check_files(folder: Path, content: bytes) -> None:
    """Compare the files in ``folder`` with the list ``content``; raises SignatureError, one line
    that names the first that differs."""
    listed, found = _parse_list(folder, content), list_files(folder)
    for name in sorted(listed.keys() | found.keys()):
        path = folder / name
        if name not in listed:
            raise SignatureError(f"{path}: is not in {LIST_FILE}, so it is not signed; remove it")
        if name not in found:
            raise SignatureError(f"{path}: is in {LIST_FILE}, and missing")
        if listed[name] != found[name]:
            raise SignatureError(f"{path}: was changed after it was signed")


def list_files(folder: Path) -> dict[str, str]:
    """The sha256 of each file of the package in ``folder``, by name.

    Raises SignatureError for what could be another file elsewhere or later: folders, links, and
    names that file systems do not all read alike.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise SignatureError(f"{path}: is no plain file, and cannot be signed; remove it")
        if path.name not in NOT_LISTED:
            _check_name(folder, path.name, found)
            found[path.name] = _digest(path)
    return found


def format_list(digests: dict[str, str]) -> bytes:
    """What `sha256sum --check` reads."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _parse_list(folder: Path, content: bytes) -> dict[str, str]:
    listed: dict[str, str] = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if (match := LINE.fullmatch(line)) is None:
            raise SignatureError(f"{folder / LIST_FILE}: line {number} names no sha256 and file")
        digest, name = match.groups()
        _check_name(folder, name, listed)
        listed[name] = digest
    if missing := {MANIFEST_FILE, GRAPH_FILE} - listed.keys():
        raise SignatureError(f"{folder / LIST_FILE}: does not list {', '.join(sorted(missing))}")
    return listed


def _check_name(folder: Path, name: str, others: dict[str, str]) -> None:
    if not FILE_NAME.fullmatch(name):
        raise SignatureError(
            f"{folder}: the name {name!r} cannot be signed; use letters, digits and _.- only"
        )
    if name.lower() in {other.lower() for other in others}:
        raise SignatureError(f"{folder}: {name!r} differs from another file by case alone")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}") from error

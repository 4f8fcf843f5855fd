"""Signatures of packages: ed25519 (RFC 8032) over the bytes of the manifest.

The manifest holds the graph's sha256, so that its signature is one of the graph as well. The file
is the 64 bytes alone, as `openssl pkeyutl -verify -rawin` reads them. `cryptography` is imported
where it is needed: a service that asks for no signature does not load it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.manifest import MANIFEST_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_FILE = "manifest.sig"
SIGNATURE_BYTES = 64


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


def check_signature(folder: Path, manifest: bytes, public_keys: Sequence[Path]) -> Path:
    """The one of ``public_keys`` that signed ``manifest``, the bytes of the package's file.

    Raises SignatureError if the package in ``folder`` has no signature, or one of somebody else or
    of another manifest.
    """
    from cryptography.exceptions import InvalidSignature

    keys = [(path, read_public_key(path)) for path in public_keys]
    signature = read_signature(folder)
    for path, key in keys:
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return path
    names = " or ".join(str(path) for path in public_keys)
    raise SignatureError(
        f"{folder / SIGNATURE_FILE}: is no signature of {MANIFEST_FILE} by {names}; the manifest"
        " was changed after it was signed, or somebody else signed it"
    )


def read_signature(folder: Path) -> bytes:
    """The 64 bytes of a package's signature; raises SignatureError."""
    path = folder / SIGNATURE_FILE
    try:
        signature = path.read_bytes()
    except FileNotFoundError:
        raise SignatureError(
            f"{folder}: is not signed; `python -m export sign` writes {SIGNATURE_FILE}"
        ) from None
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}") from error
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"{path}: has {len(signature)} bytes, not {SIGNATURE_BYTES}")
    return signature

"""Key pairs, and signatures of packages with them."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from service.package import verify_any_package
from service.signature import (
    LIST_FILE,
    OLD_SIGNATURE_FILE,
    SIGNATURE_FILE,
    SignatureError,
    format_list,
    list_files,
)


def make_keys(private: Path, public: Path) -> None:
    """Write a new pair of ed25519 keys as PEM files, the private one readable by its owner only.

    Raises SignatureError if either file exists: an overwritten key could sign no more.
    """
    for path in (private, public):
        if os.path.lexists(path):
            raise SignatureError(f"{path} exists; keys are not overwritten")
    key = Ed25519PrivateKey.generate()
    _write_new(
        private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600
    )
    shared = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, shared, mode=0o644)


def sign(folder: Path, private: Path) -> None:
    """Sign all files of the package in ``folder``, in place of any signature that it has.

    Raises PackageError if the package is damaged, SignatureError if the key cannot be used, or if
    the folder holds what cannot be signed.
    """
    key = _read_private_key(private)
    verify_any_package(folder)
    digests = list_files(folder)
    digests.pop(OLD_SIGNATURE_FILE, None)
    content = format_list(digests)
    (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    (folder / LIST_FILE).write_bytes(content)
    (folder / SIGNATURE_FILE).write_bytes(key.sign(content))
    (folder / OLD_SIGNATURE_FILE).unlink(missing_ok=True)


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SignatureError(f"{path}: {error.strerror}") from error
    except TypeError as error:
        raise SignatureError(
            f"{path}: is locked with a password; unlock a copy with `openssl pkey -in {path}`"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{path}: holds no private key in PEM form") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: is no ed25519 key; `python -m export keygen` makes one")
    return key


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)

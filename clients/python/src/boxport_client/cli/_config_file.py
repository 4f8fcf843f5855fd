"""The configuration file, in TOML: services and their keys.

    url = "http://localhost:3000"

    [profiles.shop]
    url = "https://boxport.shop.example"
    api_key = "..."

Those at the top are used if no profile is named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from boxport_client.cli._atomic_file import AtomicFile
from boxport_client.cli._exit_status import CommandError

KEYS = ("url", "api_key")
PROFILES = "profiles"
PRIVATE = 0o600


@dataclass(frozen=True)
class Configuration:
    """The file's content: ``keys`` at its top, and those of each profile."""

    path: Path
    keys: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def section(self, profile: str | None) -> Mapping[str, str]:
        """The keys of a profile, or those at the top; raises CommandError if there is none."""
        if profile is None:
            return self.keys
        if profile not in self.profiles:
            known = ", ".join(self.profiles) or "none yet"
            raise CommandError(f"{self.path}: has no profile {profile!r}; profiles: {known}")
        return self.profiles[profile]


def config_path() -> Path:
    """Where the file is, or would be (XDG Base Directory Specification)."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if Path(folder).is_absolute() else Path.home() / ".config"
    return base / "boxport" / "config.toml"


def read_configuration() -> Configuration:
    """The file's content; empty if there is no file. Raises CommandError for an invalid one."""
    path = config_path()
    document = _read(path)
    profiles = document.get(PROFILES, {})
    if not isinstance(profiles, Mapping):
        raise CommandError(f"{path}: {PROFILES} must be tables, such as [{PROFILES}.shop]")
    top = {key: value for key, value in document.items() if key != PROFILES}
    return Configuration(
        path,
        _checked(path, "", top),
        {name: _checked(path, f"{PROFILES}.{name}.", keys) for name, keys in profiles.items()},
    )


def write_key(key: str, value: str | None, profile: str | None) -> Path:
    """Set a key, or remove it if ``value`` is None; the rest of the file stays as it is.

    Only the file's owner can read it, since it may hold keys. Raises CommandError and OSError.
    """
    path = config_path()
    read_configuration()
    document = _read(path)
    section: MutableMapping[str, Any] = document
    if profile is not None:
        profiles = document.setdefault(PROFILES, tomlkit.table(is_super_table=True))
        section = profiles.setdefault(profile, tomlkit.table())
    if value is not None:
        section[key] = value
    elif key in section:
        del section[key]
    else:
        raise CommandError(f"{path}: {key} is not set")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with AtomicFile(path, PRIVATE) as file:
        file.write(tomlkit.dumps(document))
        file.commit()
    return path


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: is not TOML: {error}") from error


def _checked(path: Path, prefix: str, keys: Any) -> dict[str, str]:
    if not isinstance(keys, Mapping):
        raise CommandError(f"{path}: {prefix.rstrip('.')} must be a table")
    for key, value in keys.items():
        if key not in KEYS:
            raise CommandError(f"{path}: {prefix}{key} is unknown; keys: {', '.join(KEYS)}")
        if not isinstance(value, str) or not value:
            raise CommandError(f"{path}: {prefix}{key} must be a string in quotes, and not empty")
    return {key: str(value) for key, value in keys.items()}

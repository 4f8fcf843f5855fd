"""The configuration: a TOML file of services and their keys.

    url = "http://localhost:3000"

    [profiles.shop]
    url = "https://boxport.shop.example"
    api_key = "..."

The keys at the top hold where no profile is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from boxport_client.cli.atomic_file import AtomicFile
from boxport_client.cli.endings import Refused

KEYS = ("url", "api_key")
PROFILES = "profiles"
PRIVATE = 0o600


@dataclass(frozen=True)
class Configuration:
    """What the file says: ``keys`` at its top, and those of each profile."""

    path: Path
    keys: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def section(self, profile: str | None) -> Mapping[str, str]:
        """The keys of a profile, or those at the top; raises Refused if there is no such one."""
        if profile is None:
            return self.keys
        if profile not in self.profiles:
            known = ", ".join(self.profiles) or "none yet"
            raise Refused(f"{self.path}: has no profile {profile!r}; profiles: {known}")
        return self.profiles[profile]


def config_path() -> Path:
    """Where the file is, or would be (XDG Base Directory Specification)."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if Path(folder).is_absolute() else Path.home() / ".config"
    return base / "boxport" / "config.toml"


def read_configuration() -> Configuration:
    """What the file says; nothing if there is none. Raises Refused for one that is wrong."""
    path = config_path()
    document = _read(path)
    profiles = document.get(PROFILES, {})
    if not isinstance(profiles, Mapping):
        raise Refused(f"{path}: {PROFILES} must be tables, such as [{PROFILES}.shop]")
    top = {key: value for key, value in document.items() if key != PROFILES}
    return Configuration(
        path,
        _checked(path, "", top),
        {name: _checked(path, f"{PROFILES}.{name}.", keys) for name, keys in profiles.items()},
    )


def write_key(key: str, value: str | None, profile: str | None) -> Path:
    """Set a key, or take it out if ``value`` is None; all else in the file stays as it is.

    The file is for its owner's eyes only, since it may hold keys. Raises Refused and OSError.
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
        raise Refused(f"{path}: {key} is not set")
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
        raise Refused(f"{path}: is no TOML: {error}") from error


def _checked(path: Path, prefix: str, keys: Any) -> dict[str, str]:
    if not isinstance(keys, Mapping):
        raise Refused(f"{path}: {prefix.rstrip('.')} must be a table")
    for key, value in keys.items():
        if key not in KEYS:
            raise Refused(f"{path}: {prefix}{key} is unknown; keys: {', '.join(KEYS)}")
        if not isinstance(value, str) or not value:
            raise Refused(f"{path}: {prefix}{key} must be a text in quotes, and not empty")
    return {key: str(value) for key, value in keys.items()}

"""Which service is asked, with which key, and who says so."""

from __future__ import annotations

import os
from dataclasses import dataclass

import httpx

from boxport_client import Client
from boxport_client.cli.config_file import read_configuration
from boxport_client.connection import DEFAULT_URL

SHOWN_OF_KEYS = 4
LEAST_KEY = 12  # one that is shorter would be given away by its end
VARIABLES = {"url": "BOXPORT_URL", "api_key": "BOXPORT_API_KEY"}


@dataclass(frozen=True)
class Setting:
    """A value and where it comes from."""

    value: str | None
    source: str


@dataclass(frozen=True)
class Service:
    """The service to be asked; see `find_service`."""

    url: Setting
    api_key: Setting

    @property
    def address(self) -> str:
        return self.url.value or DEFAULT_URL

    @property
    def shown_address(self) -> str:
        """The address without a password."""
        return _plain(self.address)

    def client(self, timeout: float = 30.0, retries: int = 3) -> Client:
        """A client of it; raises ValueError for settings that cannot be."""
        return Client(self.address, api_key=self.api_key.value, timeout=timeout, retries=retries)


def find_service(url: str | None, api_key: str | None, profile: str | None) -> Service:
    """What the command line says goes before all else; then comes a profile that it chooses, then
    the environment, then the file's keys at the top, then the default.

    A key of the file goes only to the address beside it: whoever asks another service must not
    hand it that key. Raises Refused for a configuration that is wrong.
    """
    configuration = read_configuration()
    keys = configuration.section(profile)
    place = str(configuration.path) + (f", profile {profile}" if profile else "")
    found_url = _first("url", url, keys.get("url"), place, profile is not None)
    address = found_url.value or DEFAULT_URL
    key = keys.get("api_key") if _is_meant_for(keys.get("url"), address) else None
    found_key = _first("api_key", api_key, key, place, profile is not None)
    if found_key.value is None and "api_key" in keys:
        found_key = Setting(None, f"none; that of {place} is for {keys['url']}")
    return Service(found_url if found_url.value else Setting(DEFAULT_URL, "default"), found_key)


def hidden(key: str) -> str:
    """A key as it may be shown: its last characters."""
    return "…" + (key[-SHOWN_OF_KEYS:] if len(key) >= LEAST_KEY else "")


def _first(
    name: str, given: str | None, in_file: str | None, place: str, is_chosen: bool
) -> Setting:
    variable = VARIABLES[name]
    flag = Setting(given, "--" + name.replace("_", "-"))
    environment = Setting(os.environ.get(variable), variable)
    file = Setting(in_file, place)
    order = (flag, file, environment) if is_chosen else (flag, environment, file)
    return next((setting for setting in order if setting.value), Setting(None, "none"))


def _is_meant_for(url_of_key: str | None, address: str) -> bool:
    return url_of_key is None or _plain(url_of_key) == _plain(address)


def _plain(url: str) -> str:
    try:
        return str(httpx.URL(url).copy_with(userinfo=b"")).rstrip("/")
    except httpx.InvalidURL:  # which the client will say
        return url

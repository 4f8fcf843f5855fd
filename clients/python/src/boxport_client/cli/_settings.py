"""The service's address and key, and where each of them comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass

import httpx

from boxport_client import Client
from boxport_client._api import DEFAULT_URL, Api
from boxport_client._connections import Connector
from boxport_client.cli._config_file import read_configuration

SHOWN_KEY_CHARACTERS = 4
MIN_SHOWN_KEY = 12  # the end of a shorter key would give it away
VARIABLES = {"url": "BOXPORT_URL", "api_key": "BOXPORT_API_KEY"}


@dataclass(frozen=True)
class Setting:
    """A value, and the source that it comes from."""

    value: str | None
    source: str


@dataclass(frozen=True)
class Service:
    """A service's address and key, and a file of certificates to trust; see `find_service`."""

    url: Setting
    api_key: Setting
    ca_file: str | None = None

    @property
    def address(self) -> str:
        return self.url.value or DEFAULT_URL

    @property
    def shown_address(self) -> str:
        """The address without a password."""
        return _plain(self.address)

    def client(self, timeout: float = 30.0, retries: int = 3) -> Client:
        """A client of it; raises ValueError for invalid settings."""
        return Client(
            self.address,
            api_key=self.api_key.value,
            timeout=timeout,
            retries=retries,
            verify=self._verify,
        )

    def connector(self) -> Connector:
        """How connections to it are made; raises ValueError for invalid settings."""
        api = Api(self.address, self.api_key.value, timeout=1.0, retries=0, priority=None)
        return api.connector(http2=False, verify=self._verify)

    @property
    def _verify(self) -> str | bool:
        return self.ca_file or True


def find_service(
    url: str | None, api_key: str | None, profile: str | None, ca_file: str | None = None
) -> Service:
    """Address and key from the command line, else from the profile that it names, else from the
    environment, else from the top of the file, else the default.

    A key of the file goes only to the address beside it: another service must not get it. Raises
    CommandError for an invalid configuration.
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
    service_url = found_url if found_url.value else Setting(DEFAULT_URL, "default")
    return Service(service_url, found_key, ca_file)


def hidden(key: str) -> str:
    """A key as it is shown: its last characters."""
    return "…" + (key[-SHOWN_KEY_CHARACTERS:] if len(key) >= MIN_SHOWN_KEY else "")


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
    except httpx.InvalidURL:  # the client will say so
        return url

"""The proxy that the environment names for a service, and the services that it excludes."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.request import getproxies

import httpx

from boxport_client._errors import ConnectionFailed, MissingExtra

SCHEMES = ("http", "https", "socks5", "socks5h")
DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    url: httpx.URL
    variable: str

    def __str__(self) -> str:
        """Its address without user name and password."""
        return f"{str(self.url.copy_with(userinfo=b'')).rstrip('/')} ({self.variable})"

    @property
    def is_socks(self) -> bool:
        return self.url.scheme.startswith("socks")


def find_proxy(url: httpx.URL, named: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy through which ``url`` is reached; None if it is reached directly.

    named: the proxies by scheme, and under "no" the hosts that are reached directly; those of the
        environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY) or the system if not given.

    Raises ConnectionFailed for an address that no proxy has, and MissingExtra if a package for
    SOCKS is not installed. A proxy that is not used for ``url`` is not looked at.
    """
    named = getproxies() if named is None else named
    scheme = next((name for name in (url.scheme, "all") if named.get(name)), None)
    if scheme is None or _is_excluded(url, named.get("no", "")):
        return None
    variable = f"{scheme}_proxy"
    variable = variable if variable in os.environ else variable.upper()
    text = named[scheme].strip()
    return _checked(text if "://" in text else f"http://{text}", variable)


def _checked(text: str, variable: str) -> Proxy:
    try:
        proxy = Proxy(httpx.URL(text), variable)
    except httpx.InvalidURL:  # whose words may have a part of a password
        proxy = Proxy(httpx.URL("http://"), variable)
    if proxy.url.scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise ConnectionFailed(f"the proxy {proxy} is of none of the kinds {known}")
    if not is_host(proxy.url):
        raise ConnectionFailed(f"{variable} is not the URL of a proxy, such as http://proxy:3128")
    if proxy.is_socks and importlib.util.find_spec("socksio") is None:
        raise MissingExtra(
            f"the proxy {proxy} needs socksio: pip install 'boxport-client[socks]'; or name the"
            " service's host in NO_PROXY"
        )
    return proxy


def is_host(url: httpx.URL) -> bool:
    """Whether a connection to the host and port of ``url`` can be tried at all."""
    try:
        url.host.encode("idna")
    except UnicodeError:  # an empty or too long part of the name
        return False
    return bool(url.host) and (url.port or 0) <= 65535


def _is_excluded(url: httpx.URL, no_proxy: str) -> bool:
    """Whether an entry of NO_PROXY matches: entries are separated by commas or white space."""
    return any(_matches(entry, url) for entry in re.split(r"[\s,;]+", no_proxy) if entry)


def _matches(entry: str, url: httpx.URL) -> bool:
    """Whether ``url`` is that of an entry: a host with its subdomains, an address or a network,
    each with or without scheme and port; or * for all."""
    scheme, _, place = entry.lower().rpartition("://")
    if scheme not in ("", "all", url.scheme):
        return False
    name, port = _split_port(place.rstrip("/"))
    if port not in ("", str(url.port or DEFAULT_PORTS.get(url.scheme))):
        return False
    if name == "*":
        return True
    host = url.host.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and f".{host}".endswith(f".{name}")
    try:
        return address in ipaddress.ip_network(name.split("%")[0], strict=False)
    except ValueError:
        return False


def _split_port(place: str) -> tuple[str, str]:
    """Host and port, "" if there is none; an IPv6 address with a port is in brackets."""
    if place.startswith("["):
        name, _, rest = place[1:].partition("]")
        return (name + rest, "") if rest.startswith("/") else (name, rest.lstrip(":"))
    if place.count(":") == 1:
        name, _, port = place.partition(":")
        return name, port
    return place, ""

"""URLs in a form that all parsers read in the same way.

URL parsers disagree on backslashes, user names, control characters, numbers as hosts and more, and
a check with one parser is void if another one connects (Orange Tsai, "A New Era of SSRF", 2017). So
a URL is parsed once, here, and ambiguous ones are refused.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urljoin

from service.fetch.addresses import Address

PORTS = {"http": 80, "https": 443}
MAX_LENGTH = 4096  # signed links to object stores have about 1,500 characters

_URL = re.compile(
    r"""(?P<scheme> https? ) ://
        (?: (?P<name> [a-z0-9._-]{1,253} ) | \[ (?P<ipv6> [0-9a-f:.]+ ) \] )
        (?: : (?P<port> [0-9]{1,5} ) )?
        (?P<target> (?: [/?] [!"$-\[\]-~]* )? )  # printable ASCII except hash and backslash
        (?: \# [!-\[\]-~]* )?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
# The C library reads 2130706433, 0x7f.1 and 0177.0.0.1 as addresses; no domain ends in a number.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True)
class ImageUrl:
    """host: a name in lower case, or the text of ``address`` if the URL has one. target: path and
    query."""

    scheme: str
    host: str
    address: Address | None
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def join(self, location: str) -> "ImageUrl":
        """The URL of ``location``, which may be relative to this one; raises ValueError."""
        if not re.fullmatch("[!-~]+", location):  # `urljoin` would drop tabs and line breaks
            raise ValueError("a location has characters that are not allowed in a URL")
        return parse_url(urljoin(f"{self.scheme}://{self.authority}{self.target}", location))


def parse_url(text: str) -> ImageUrl:
    """Parse an absolute http or https URL without a user name; its fragment is dropped.

    Raises ValueError for anything else, for a host that is neither an ASCII name nor an address in
    its usual form, and for more than `MAX_LENGTH` characters.
    """
    match = _URL.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise ValueError("not of the form http(s)://host[:port]/path in ASCII")
    scheme = match["scheme"].lower()
    address = _read_address(match)
    host = str(address) if address is not None else match["name"].lower()
    if address is None and not _is_name(host):
        raise ValueError("the host is no name")
    target = match["target"]
    return ImageUrl(
        scheme,
        host,
        address,
        port=int(match["port"] or PORTS[scheme]),
        target=target if target.startswith("/") else f"/{target}",
    )


def _is_name(host: str) -> bool:
    """Whether ``host``, in lower case, is a domain name that cannot be read as a number."""
    labels = host.split(".")
    return all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])


def _read_address(match: re.Match[str]) -> Address | None:
    if match["ipv6"] is not None:
        return IPv6Address(match["ipv6"])
    try:
        return IPv4Address(match["name"])
    except AddressValueError:
        return None

"""Origins, networks and paths in settings: those that could never match are told, with the spelling
that would."""

import re
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
# Of a path those that need no escape in a URL, a redirect or a page.
SEGMENT = re.compile(r"(?!\.{1,2}$)[\w.~-]+", re.ASCII)
# What the paths of the service's own routes begin with.
OWN_SEGMENTS = (
    *("v1", "v2", "metrics", "livez", "readyz", "healthz", "playground"),
    *("docs", "docs.js", "docs.json", "schema.json", "static_content"),
)


def check_origin(text: str) -> str:
    """``text``, if browsers can send it as an Origin, or *; raises ValueError (RFC 6454, 6.2)."""
    if text == "*":
        return text
    place = _split(text)
    port = "" if place.port in (None, DEFAULT_PORTS.get(place.scheme)) else f":{place.port}"
    proper = f"{place.scheme}://{_host(place)}{port}"
    if place.scheme not in DEFAULT_PORTS or text != proper:
        raise ValueError(f"{text} is no origin that browsers send; did you mean {proper}?")
    return text


def check_network(text: str) -> str:
    """``text``, if it is an address or a network; raises ValueError."""
    try:
        ip_network(text)
    except ValueError:
        try:
            proper = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text} is no address or network, such as 10.1.0.0/16") from None
        raise ValueError(f"{text} is no network; did you mean {proper}?") from None
    return text


def check_root_path(text: str) -> str:
    """``text``, if it is a path such as /vision/detector, or ""; raises ValueError."""
    path = urlsplit(text).path if "://" in text else text
    segments = [segment for segment in path.split("/") if segment]
    if not all(map(SEGMENT.fullmatch, segments)):
        raise ValueError(
            f"{text} is no path of letters, digits and -._~ alone, such as /vision/detector"
        )
    proper = "".join(f"/{segment}" for segment in segments)
    if text != proper:
        raise ValueError(f"{text} is no path of URLs; did you mean {proper or 'none'}?")
    if segments and segments[0] in OWN_SEGMENTS:
        raise ValueError(f"the service's own paths begin with /{segments[0]}; take another")
    return text


def _split(text: str) -> SplitResult:
    place = urlsplit(text if "://" in text else f"https://{text}")
    try:
        known = place.hostname and place.port != 0
    except ValueError:
        known = None
    if not known:
        raise ValueError(f"{text} names no host")
    return place


def _host(place: SplitResult) -> str:
    """As browsers write it: small letters, and punycode for what is not ASCII."""
    host = place.hostname or ""
    if ":" in host:
        return f"[{host}]"
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{host} is no name of a host") from None

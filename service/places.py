"""Origins and networks in settings: those that could never match are told, with the spelling that
would."""

from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


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

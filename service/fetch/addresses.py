"""The IP addresses that images may be fetched from: the public ones.

The standard library's ``is_global`` follows IANA's special-purpose registries (RFC 6890), but takes
all others for global: multicast, site-local fec0::/10, most forms that embed an IPv4 address.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The block of IPv6 that IANA assigns to hosts. Outside of it are loopback, link-local, unique and
# site-local and multicast addresses, IPv4-compatible ::/96 and IPv4-mapped ::ffff:0:0/96, NAT64's
# 64:ff9b::/96 and 64:ff9b:1::/48.
GLOBAL_UNICAST = IPv6Network("2000::/3")

NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's platform services, in every virtual network
        "192.0.0.0/24",  # IETF protocols and Oracle Cloud's metadata; Python takes some for global
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "2001::/23",  # IETF protocols, such as Teredo; newer Python takes some for global
        "2002::/16",  # 6to4: embeds an IPv4 address
        "3fff::/20",  # documentation (RFC 9637); newer than Python 3.11
    )
)


def is_public(address: Address) -> bool:
    """Whether ``address`` is on the public internet; False if in doubt."""
    if isinstance(address, IPv6Address) and (
        address not in GLOBAL_UNICAST or address.scope_id is not None
    ):
        return False
    return address.is_global and not _is_in(address, NOT_PUBLIC)


def is_allowed(address: Address, exempt: Iterable[Network]) -> bool:
    """Whether ``address`` is public or in one of ``exempt``."""
    return is_public(address) or _is_in(address, exempt)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)

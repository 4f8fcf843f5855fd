"""Public or not, at the edges of the registries' blocks."""

from ipaddress import ip_address, ip_network

import pytest

from service.fetch.addresses import is_allowed, is_public
from tests.service.fetch.hostile import ADDRESSES


@pytest.mark.parametrize("address", [*ADDRESSES, "2606:4700::1111%1"])
def test_what_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
     "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255",
     "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
     "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
     "198.20.0.0", "223.255.255.255",
     "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700:4700::1111", "2a00:1450::1",
     "3ffe::1"],
)  # fmt: skip
def test_what_is_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_exempt_network_holds_no_address_of_the_other_version() -> None:
    exempt = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    assert is_allowed(ip_address("10.1.2.3"), exempt)
    assert is_allowed(ip_address("fd12::1"), exempt)
    assert is_allowed(ip_address("8.8.8.8"), ())
    for address in ("::ffff:10.1.2.3", "::10.1.2.3", "64:ff9b::10.1.2.3", "192.168.0.1"):
        assert not is_allowed(ip_address(address), exempt)

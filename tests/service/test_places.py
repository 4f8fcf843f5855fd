"""Origins, networks and paths that could never match are told, with the spelling that would."""

import pytest

from service.http.routes import ROUTES
from service.places import OWN_SEGMENTS, check_network, check_origin, check_root_path


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://a.example",
        "http://localhost:8080",
        "https://[::1]:8443",
        "http://a.example:443",
    ],
)
def test_what_browsers_send_is_an_origin(origin: str) -> None:
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    ("given", "proper"),
    [
        ("https://a.example/", "https://a.example"),
        ("HTTPS://A.example", "https://a.example"),
        ("a.example", "https://a.example"),
        ("https://a.example/path?x#y", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("https://user@a.example", "https://a.example"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("localhost:8080", "https://localhost:8080"),
    ],
)
def test_other_spellings_are_told_the_proper_one(given: str, proper: str) -> None:
    with pytest.raises(ValueError, match="no origin that browsers send") as refused:
        check_origin(given)
    assert str(refused.value).endswith(f"did you mean {proper}?")
    assert check_origin(proper) == proper


@pytest.mark.parametrize("given", ["", "https://", "https://:80", "https://a:b", "https://a:99999"])
def test_what_names_no_host_is_told(given: str) -> None:
    with pytest.raises(ValueError, match="names no host"):
        check_origin(given)


@pytest.mark.parametrize("network", ["10.0.0.1", "10.1.0.0/16", "::1", "fd00::/8"])
def test_networks(network: str) -> None:
    assert check_network(network) == network


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("10.1.2.3/16", "did you mean 10.1.0.0/16?"),
        ("proxy.example", "is no address or network"),
        ("*", "is no address or network"),
    ],
)
def test_other_networks_are_told(given: str, message: str) -> None:
    with pytest.raises(ValueError, match="is no") as refused:
        check_network(given)
    assert message in str(refused.value)


@pytest.mark.parametrize("path", ["", "/vision", "/vision/detector-2.0", "/v3"])
def test_paths_below_which_a_service_may_lie(path: str) -> None:
    assert check_root_path(path) == path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("/vision/", "did you mean /vision?"),
        ("vision/detector", "did you mean /vision/detector?"),
        ("//vision//detector", "did you mean /vision/detector?"),
        ("https://a.example/vision/", "did you mean /vision?"),
        ("/", "did you mean none?"),
        ("/vision/../detector", "is no path of letters"),
        ("/vision%20detector", "is no path of letters"),
        ("/vision?x=1", "is no path of letters"),
        ("/v1", "the service's own paths begin with /v1"),
        ("/docs/detector", "the service's own paths begin with /docs"),
    ],
)
def test_other_paths_are_told(given: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        check_root_path(given)
    assert message in str(refused.value)


def test_no_route_begins_as_a_path_that_a_service_may_lie_below() -> None:
    assert {row.template.split("/")[1] for row in ROUTES} - {""} == {*OWN_SEGMENTS}

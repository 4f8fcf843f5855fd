"""Hosts, ports and the accepted form of a URL."""

import pytest

from service.fetch.policy import FetchPolicy
from service.problems import Problem


def policy(*hosts: str, **changes: object) -> FetchPolicy:
    return FetchPolicy(hosts, max_bytes=1000, timeout=1, **changes)


@pytest.mark.parametrize(
    ("text", "authority", "port", "target"),
    [
        ("http://example.org", "example.org", 80, "/"),
        ("https://example.org/", "example.org", 443, "/"),
        ("HTTPS://Images.Example.ORG:443/A.jpg", "images.example.org", 443, "/A.jpg"),
        ("http://example.org:443/", "example.org:443", 443, "/"),
        ("http://example.org?a=b@c:d#e", "example.org", 80, "/?a=b@c:d"),
        ("http://example.org#@evil.org/", "example.org", 80, "/"),
        ("http://example.org/%e2%82%ac/[1]/{2}", "example.org", 80, "/%e2%82%ac/[1]/{2}"),
        ("http://xn--mnchen-3ya.example/a", "xn--mnchen-3ya.example", 80, "/a"),
        ("http://my_bucket.s3-1.example/", "my_bucket.s3-1.example", 80, "/"),
        ("http://1.example/", "1.example", 80, "/"),
        ("http://0x7f.example/", "0x7f.example", 80, "/"),
        ("http://8.8.8.8/", "8.8.8.8", 80, "/"),
        ("http://[2606:4700:0::1111]/", "[2606:4700::1111]", 80, "/"),
        ("https://[2606:4700::1111]:80/", "[2606:4700::1111]:80", 80, "/"),
    ],
)
def test_a_plain_url_is_read(text: str, authority: str, port: int, target: str) -> None:
    url = policy("*").read(text)
    assert (url.authority, url.port, url.target) == (authority, port, target)
    assert url.scheme == text.partition(":")[0].lower()


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("images.example.org", "images.example.org", True),
        ("Images.Example.Org", "images.EXAMPLE.org", True),
        ("images.example.org", "a.images.example.org", False),
        ("images.example.org", "images.example.org.evil.com", False),
        ("images.example.org", "evilimages.example.org", False),
        ("images.example.org", "imagesxexample.org", False),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "evilexample.org", False),
        ("*.example.org", "a.example.org.evil.com", False),
        ("8.8.8.8", "8.8.8.8", True),
        ("8.8.8.8", "8.8.4.4", False),
        ("*.example.org", "8.8.8.8", False),
        ("*", "8.8.8.8", True),
    ],
)
def test_a_pattern_matches_whole_labels(pattern: str, host: str, allowed: bool) -> None:
    if allowed:
        policy("other.org", pattern).read(f"https://{host}/")
    else:
        with pytest.raises(Problem, match=f"fetches nothing from {host}\\.$"):
            policy("other.org", pattern).read(f"https://{host}/")


def test_no_host_is_allowed_by_none() -> None:
    with pytest.raises(Problem):
        policy().read("https://example.org/")


def test_ports_are_those_of_the_policy() -> None:
    assert policy("*", allowed_ports=(9000,)).read("http://example.org:9000/").port == 9000
    for url in ("http://example.org/", "http://example.org:8080/"):
        with pytest.raises(Problem, match="fetches nothing from port 80"):
            policy("*", allowed_ports=(9000,)).read(url)


def test_a_redirect_keeps_to_https() -> None:
    hosts = policy("*")
    secure, plain = hosts.read("https://example.org/a"), hosts.read("http://example.org/a")
    assert hosts.redirect(plain, "https://example.org/b").scheme == "https"
    assert hosts.redirect(secure, "//example.org/b").scheme == "https"
    with pytest.raises(Problem, match="redirects") as caught:
        hosts.redirect(secure, "http://example.org/b")
    assert caught.value.code == "url_not_allowed"


@pytest.mark.parametrize(
    ("location", "authority", "target"),
    [
        ("c?d", "example.org:8000", "/a/c?d"),
        ("/c", "example.org:8000", "/c"),
        ("?d", "example.org:8000", "/a/b?d"),
        ("../../c", "example.org:8000", "/c"),
        ("//other.org/c", "other.org", "/c"),
        ("http:/c", "example.org:8000", "/c"),
    ],
)
def test_a_redirect_may_be_relative(location: str, authority: str, target: str) -> None:
    hosts = policy("*", allowed_ports=(80, 8000))
    url = hosts.redirect(hosts.read("http://example.org:8000/a/b"), location)
    assert (url.authority, url.target) == (authority, target)


@pytest.mark.parametrize(
    "pattern",
    ["", ".", "**", "*example.org", "*.*.org", "a.*.org", "*.", "https://a.org", "a.org/b",
     "a.org:443", "a.org.", "münchen.example", "a b", "127.1", "u@a.org", "a.org#", "a.org?b"],
)  # fmt: skip
def test_a_pattern_that_is_no_host_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no host; write images"):
        policy(pattern)

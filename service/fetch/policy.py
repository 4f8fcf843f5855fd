"""The URLs that may be fetched."""

from dataclasses import dataclass

from service.fetch.addresses import Network, is_allowed
from service.fetch.urls import ImageUrl, parse_url
from service.problems import Problem


@dataclass(frozen=True)
class FetchPolicy:
    """Raises ValueError for an invalid pattern in ``allowed_hosts``.

    allowed_hosts: "images.example.org" is that host, "*.example.org" those below example.org, but
        not example.org itself, "*" any.
    max_bytes: of one file.
    timeout: seconds for one file, from the first look-up to the last byte, redirects included.
    max_redirects: followed from one URL.
    allowed_networks: networks that are not public, but allowed.
    """

    allowed_hosts: tuple[str, ...]
    max_bytes: int
    timeout: float
    max_redirects: int = 3
    allowed_ports: tuple[int, ...] = (80, 443)
    allowed_networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.allowed_hosts:
            if pattern != "*" and not _is_host(pattern.removeprefix("*.")):
                raise ValueError(
                    f"{pattern!r} is no host; write images.example.org, *.example.org or *"
                )

    def read(self, text: str) -> ImageUrl:
        """The URL in ``text``; raises Problem (url_not_allowed)."""
        try:
            url = parse_url(text)
        except ValueError:
            raise Problem(
                "url_not_allowed",
                "The URL must be http:// or https://, a host in its usual form and in ASCII, no"
                " user name, and a path with its special characters percent-encoded.",
            ) from None
        self._check(url)
        return url

    def redirect(self, url: ImageUrl, location: str) -> ImageUrl:
        """The target of a redirect from ``url``; raises Problem (url_not_allowed), which does not
        reveal it to the caller."""
        try:
            target = url.join(location)
            self._check(target)
        except (Problem, ValueError):
            target = None
        if target is None or (url.scheme, target.scheme) == ("https", "http"):
            raise Problem(
                "url_not_allowed", "The URL redirects to one that this service does not fetch."
            )
        return target

    def _check(self, url: ImageUrl) -> None:
        if not any(_matches(url.host, pattern.lower()) for pattern in self.allowed_hosts):
            raise Problem("url_not_allowed", f"This service fetches nothing from {url.host}.")
        if url.port not in self.allowed_ports:
            raise Problem("url_not_allowed", f"This service fetches nothing from port {url.port}.")
        if url.address is not None and not is_allowed(url.address, self.allowed_networks):
            raise Problem("url_not_allowed", f"{url.host} is no public address.")


def _is_host(text: str) -> bool:
    try:
        return parse_url(f"http://{text}/").host == text.lower()
    except ValueError:
        return False


def _matches(host: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern

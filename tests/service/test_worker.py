"""What a worker makes of its settings."""

from contextlib import nullcontext

import pytest

from service.fetch.fetcher import UrlFetcher
from service.fetch.policy import FetchPolicy
from service.settings import Settings
from service.worker import make_fetcher


def test_images_are_fetched_within_the_settings_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    policies: list[FetchPolicy] = []

    def note(self: UrlFetcher, policy: FetchPolicy, **given: object) -> None:
        policies.append(policy)

    monkeypatch.setattr(UrlFetcher, "__init__", note)
    settings = Settings(
        image_hosts=("img.example.org",),
        image_networks=("10.1.0.0/16",),
        max_linked_image_bytes=1234,
        image_timeout_ms=2500,
    )
    assert make_fetcher(settings, nullcontext) is not None
    (policy,) = policies
    assert (policy.allowed_hosts, policy.max_bytes) == (("img.example.org",), 1234)
    assert (policy.timeout, [str(one) for one in policy.allowed_networks]) == (2.5, ["10.1.0.0/16"])


def test_nothing_is_fetched_where_no_host_is_allowed() -> None:
    assert make_fetcher(Settings()) is None

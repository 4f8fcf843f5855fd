"""The manifests of each variant, rendered once."""

import pytest

from tests.deploy.kubernetes.manifests import VARIANTS, Manifest, Pods, Variant, render


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    chosen: Variant = request.param
    return chosen


@pytest.fixture
def manifests(variant: Variant) -> list[Manifest]:
    return render(variant)


@pytest.fixture
def pods(manifests: list[Manifest]) -> Pods:
    return Pods.of(manifests)

"""Every manifest is valid by the schemas."""

import copy
from typing import Any

import pytest

from tests.deploy.kubernetes.manifests import CPU, KSERVE, VARIANTS, Manifest, find, render
from tests.deploy.kubernetes.schemas import faults


def test_each_manifest_is_valid(manifests: list[Manifest]) -> None:
    assert {manifest["kind"]: faults(manifest) for manifest in manifests} == {
        manifest["kind"]: [] for manifest in manifests
    }


def test_no_kind_is_left_out() -> None:
    kinds = {manifest["kind"] for variant in VARIANTS for manifest in render(variant)}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "InferenceService",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.template.spec.containers.0.readinessProb", {}),
        ("ServiceMonitor", "spec.endpoints.0.interval", "15 seconds"),
        ("InferenceService", "spec.predictor.minReplica", 2),
    ],
)
def test_a_wrong_field_would_be_found(kind: str, path: str, value: Any) -> None:
    manifest = copy.deepcopy(find(render(KSERVE if kind == "InferenceService" else CPU), kind))
    *way, last = path.split(".")
    place: Any = manifest
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
    assert faults(manifest)

"""Every manifest is one that a cluster takes."""

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
        ("Deployment", "spec.template.spec.terminationGracePeriodSeconds", "85"),
        ("Deployment", "spec.template.spec.containers.0.env.0.value", 5),
        ("Service", "spec.ports.0.portt", 80),
        ("HorizontalPodAutoscaler", "spec.metrics.0.pods.target.averageValu", "1"),
        ("PodDisruptionBudget", "spec.maxUnavailabel", 1),
        ("NetworkPolicy", "spec.ingress.0.form", []),
        ("ServiceMonitor", "spec.endpoints.0.interval", "15 seconds"),
        ("ServiceMonitor", "spec.endpoints.0.ports", "http"),
        ("InferenceService", "spec.predictor.scaleMetric", "queue"),
        ("InferenceService", "spec.predictor.minReplica", 2),
        ("InferenceService", "spec.predictor.containers.0.imag", "boxport"),
        ("InferenceService", "spec.predictor.deploymentStrategy.rolling", {}),
        ("InferenceService", "spec.transformers", {}),
    ],
)
def test_fault_is_found(kind: str, path: str, value: Any) -> None:
    manifest = copy.deepcopy(find(render(KSERVE if kind == "InferenceService" else CPU), kind))
    *way, last = path.split(".")
    place: Any = manifest
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
    assert faults(manifest)


def test_kind_that_there_is_not_is_found() -> None:
    manifest = {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler"}
    assert faults({**manifest, "metadata": {"name": "boxport"}})

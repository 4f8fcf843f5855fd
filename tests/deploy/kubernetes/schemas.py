"""Validates manifests by the schemas of Kubernetes and of two custom kinds."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.deploy.kubernetes.manifests import Manifest

SCHEMAS = Path(__file__).parent / "schemas"
# The oldest that the manifests are for, and the newest that there are schemas of.
VERSIONS = ("1.29", "1.37")


def faults(manifest: Manifest) -> list[str]:
    """A line for each fault in any of `VERSIONS`; unknown fields are faults."""
    match manifest["apiVersion"], manifest["kind"]:
        case "monitoring.coreos.com/v1", "ServiceMonitor":
            return list(_beyond_kubernetes(manifest, "service_monitor.yaml"))
        case "serving.kserve.io/v1beta1", "InferenceService":
            return list(_inference_service(manifest))
    return _of_kubernetes(manifest)


def _of_kubernetes(manifest: Manifest) -> list[str]:
    return _of_text(json.dumps(manifest, sort_keys=True))


@functools.cache
def _of_text(text: str) -> list[str]:
    """Cached: most manifests are the same in all variants, and schemas are slow to read."""
    return list(_faults_by_version(json.loads(text)))


def _faults_by_version(manifest: Manifest) -> Iterator[str]:
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{version}: there is no {manifest['apiVersion']} {manifest['kind']}"


def _beyond_kubernetes(manifest: Manifest, schema: str) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(yaml.safe_load((SCHEMAS / schema).read_text()))
    for error in validator.iter_errors(manifest):
        yield f"{error.json_path}: {error.message}"


def _inference_service(manifest: Manifest) -> Iterator[str]:
    """A predictor is a pod's fields and KServe's, side by side."""
    predictor = manifest["spec"]["predictor"]
    known = yaml.safe_load((SCHEMAS / "inference_service.yaml").read_text())
    of_kserve = known["properties"]["spec"]["properties"]["predictor"]["properties"].keys()
    pod = {key: value for key, value in predictor.items() if key not in of_kserve}
    rest = {key: value for key, value in predictor.items() if key in of_kserve}
    yield from _beyond_kubernetes(
        {**manifest, "spec": {**manifest["spec"], "predictor": rest}}, "inference_service.yaml"
    )
    yield from _of_kubernetes(_wrapped(pod, rest.get("deploymentStrategy", {})))


def _wrapped(pod: Manifest, strategy: dict[str, Any]) -> Manifest:
    """The Deployment that KServe makes of it."""
    labels = {"app": "predictor"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "predictor"},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": strategy,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }

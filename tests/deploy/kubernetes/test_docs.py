"""docs/kubernetes.md: its overlay is valid, and what it names exists."""

import re
import shutil
from pathlib import Path

import pytest

from service.rollout.records import RECORDS
from service.settings import Settings
from tests.deploy.kubernetes.manifests import KUBERNETES, Pods, build, environment, find
from tests.deploy.kubernetes.schemas import faults
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
(OVERLAY,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_overlay_of_ones_own_is_applied_as_it_stands(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "boxport").symlink_to(ROOT)
    (mine / "kustomization.yaml").write_text(OVERLAY)
    (mine / "release.pub").write_text("a key")
    shutil.copy(KUBERNETES / "base" / "settings.toml", mine)
    manifests = build(mine)
    assert [fault for manifest in manifests for fault in faults(manifest)] == []
    assert {manifest["metadata"]["namespace"] for manifest in manifests} == {"vision"}
    assert find(manifests, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 40
    images = {image.rpartition(":")[0] for image in _images(Pods.of(manifests))}
    assert images == {"registry.example.org/boxport", "registry.example.org/boxport-models"}
    (settings,) = (v for v in Pods.of(manifests).spec["volumes"] if v["name"] == "settings")
    content = find(manifests, "ConfigMap", settings["configMap"]["name"])["data"]
    assert content.keys() == {"settings.toml", "release.pub"}


def test_folders_are_there() -> None:
    for path in re.findall(r"deploy/kubernetes(?:/[\w./-]+\w)?", PAGE):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:base|overlays|components|kserve)/[\w-]*)`", PAGE):
        assert (KUBERNETES / path).exists(), path
    listed = set(re.findall(r"`components/([\w-]+)`", PAGE))
    assert listed == {folder.name for folder in (KUBERNETES / "components").iterdir()}


def test_settings_are_settings() -> None:
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", PAGE)) - {"boxport_queue_seconds"}
    ours = {name for name in named if not name.startswith(("boxport_", "model_store"))}
    assert ours <= Settings.model_fields.keys()


TRIALS = re.findall(
    r"^```yaml\n(.*?)^```", (ROOT / "docs" / "rollout.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("overlay", TRIALS, ids=["configmap", "kserve"])
def test_overlays_of_versions_on_trial_are_applied_as_they_stand(
    tmp_path: Path, overlay: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "boxport").symlink_to(ROOT)
    (mine / "kustomization.yaml").write_text(overlay)
    manifests = build(mine)
    assert [fault for manifest in manifests for fault in faults(manifest)] == []
    if not overlay.count("components"):
        service = find(manifests, "InferenceService")
        assert service["spec"]["predictor"]["canaryTrafficPercent"] == 5
        return
    pods = Pods.of(manifests)
    file = Path(environment(pods.service)["BOXPORT_ROLLOUTS_FILE"])
    (mount,) = (m for m in pods.service["volumeMounts"] if m["mountPath"] == str(file.parent))
    (volume,) = (v for v in pods.spec["volumes"] if v["name"] == mount["name"])
    content = find(manifests, "ConfigMap", volume["configMap"]["name"])["data"][file.name]
    assert RECORDS.validate_json(content)["pets"].version == "2"


def _images(pods: Pods) -> list[str]:
    return [container["image"] for container in pods.containers]

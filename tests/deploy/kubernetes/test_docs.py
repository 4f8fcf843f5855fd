"""docs/kubernetes.md: its overlay is valid, and what it names exists."""

import re
import shutil
from pathlib import Path

from service.settings import Settings
from tests.deploy.kubernetes.manifests import KUBERNETES, Pods, build, find
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


def _images(pods: Pods) -> list[str]:
    return [container["image"] for container in pods.containers]

"""References between manifests are consistent."""

from typing import Any

import pytest

from service.version import __version__
from tests.deploy.kubernetes.manifests import (
    CPU,
    GPU,
    KSERVE,
    Manifest,
    Pods,
    Variant,
    environment,
    find,
    of_kind,
    render,
)

# What no manifest holds: whoever runs the service makes them (docs/kubernetes.md).
MADE_BY_HAND = {("Secret", "boxport-keys"), ("Secret", "boxport-metrics-key")}


def test_whatever_selects_pods_selects_these(manifests: list[Manifest], pods: Pods) -> None:
    selectors = {
        "Deployment": lambda spec: spec["selector"]["matchLabels"],
        "Service": lambda spec: spec["selector"],
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
    }
    for manifest in manifests:
        if manifest["kind"] in selectors:
            wanted = selectors[manifest["kind"]](manifest["spec"])
            assert wanted, manifest["kind"]
            assert wanted.items() <= pods.labels.items(), manifest["kind"]
    for spread in pods.spec["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() <= pods.labels.items()


@pytest.mark.parametrize("variant", [CPU, GPU], ids=str)
def test_monitor_finds_the_service(variant: Variant) -> None:
    manifests = render(variant)
    monitor, service = find(manifests, "ServiceMonitor")["spec"], find(manifests, "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} == ports


def test_monitor_finds_the_service_that_kserve_makes() -> None:
    """It has the labels of the InferenceService, and its port the name of the container's."""
    manifests = render(KSERVE)
    monitor = find(manifests, "ServiceMonitor")["spec"]
    labels = find(manifests, "InferenceService")["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert [e["port"] for e in monitor["endpoints"]] == [Pods.of(manifests).port["name"]]


def test_ports_are_the_containers(manifests: list[Manifest], pods: Pods) -> None:
    assert pods.port["containerPort"] == 3000
    named = [
        port["targetPort"]
        for service in of_kind(manifests, "Service")
        for port in service["spec"]["ports"]
    ]
    named += [
        port["port"]
        for policy in of_kind(manifests, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for port in rule["ports"]
    ]
    named += [
        probe["httpGet"]["port"] for name, probe in pods.service.items() if name.endswith("Probe")
    ]
    assert set(named) == {pods.port["name"], *pods.grpc_ports}


def test_a_port_for_grpc_is_that_of_the_setting(pods: Pods) -> None:
    stated = environment(pods.service).get("BOXPORT_GRPC_PORT")
    assert pods.grpc_ports == ({} if stated is None else {"grpc": int(stated)})


def test_autoscaler_is_of_the_deployment() -> None:
    for variant in (CPU, GPU):
        manifests = render(variant)
        autoscaler, deployment = (
            find(manifests, kind) for kind in ("HorizontalPodAutoscaler", "Deployment")
        )
        target = autoscaler["spec"]["scaleTargetRef"]
        assert target == {
            "apiVersion": deployment["apiVersion"],
            "kind": deployment["kind"],
            "name": deployment["metadata"]["name"],
        }
        assert "replicas" not in deployment["spec"]


def test_all_that_is_named_is_there(manifests: list[Manifest], pods: Pods) -> None:
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    named = {("ServiceAccount", pods.spec["serviceAccountName"])}
    for volume in pods.spec["volumes"]:
        named |= set(_named_by(volume))
    for monitor in of_kind(manifests, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if "authorization" in endpoint:
                named.add(("Secret", endpoint["authorization"]["credentials"]["name"]))
    assert named <= there | MADE_BY_HAND


def _named_by(volume: dict[str, Any]) -> list[tuple[str, str]]:
    match volume:
        case {"configMap": {"name": name}}:
            return [("ConfigMap", name)]
        case {"secret": {"secretName": name}}:
            return [("Secret", name)]
        case {"persistentVolumeClaim": {"claimName": name}}:
            return [("PersistentVolumeClaim", name)]
        case {"emptyDir": _}:
            return []
    raise AssertionError(f"{volume}: is not understood here")


def test_every_volume_is_mounted_and_every_mount_is_one(pods: Pods) -> None:
    volumes = {volume["name"] for volume in pods.spec["volumes"]}
    mounted = {mount["name"] for c in pods.containers for mount in c["volumeMounts"]}
    assert mounted == volumes
    for container in pods.containers:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        # a mount within another's read-only volume has no folder to lie on
        assert not any(
            path != other and path.startswith(f"{other}/") for path in paths for other in paths
        )


def test_files_that_settings_name_are_there(manifests: list[Manifest], pods: Pods) -> None:
    volumes = {volume["name"]: volume for volume in pods.spec["volumes"]}
    mounts = {m["mountPath"]: volumes[m["name"]] for m in pods.service["volumeMounts"]}
    for name, value in environment(pods.service).items():
        if value.startswith("/") and value not in mounts:
            folder, _, file = value.rpartition("/")
            match mounts[folder]:
                case {"configMap": {"name": config}}:
                    assert file in find(manifests, "ConfigMap", config)["data"], name
                case {"secret": {"secretName": "boxport-keys"}}:
                    assert file == "keys.json", name


def test_images_have_this_release(variant: Variant, pods: Pods) -> None:
    tag = f"{__version__}-cuda" if variant.overlay == GPU.overlay else __version__
    ours = {c["image"] for c in pods.containers if c["image"].partition(":")[0] == "boxport"}
    assert ours == {f"boxport:{tag}"}


def test_kserve_runs_what_the_deployment_runs() -> None:
    ours, theirs = Pods.of(render(CPU)), Pods.of(render(KSERVE))
    of_kserve = {
        *("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "timeout"),
        *("labels", "deploymentStrategy"),
    }
    assert theirs.labels == ours.labels
    assert {key: value for key, value in theirs.spec.items() if key not in of_kserve} | {
        "containers": []
    } == ours.spec | {"containers": []}
    differ = {"name", "env", "ports", "startupProbe", "readinessProbe", "livenessProbe"}
    assert theirs.service["name"] == "kserve-container"
    assert {k: v for k, v in theirs.service.items() if k not in differ} == {
        k: v for k, v in ours.service.items() if k not in differ
    }
    assert environment(theirs.service) == environment(ours.service) | {"PROTOCOL": "v2"}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert theirs.service[name] | {"httpGet": {}} == ours.service[name] | {"httpGet": {}}


def test_kserve_scales_as_the_deployment_does_on_processors() -> None:
    autoscaler = find(render(CPU), "HorizontalPodAutoscaler")["spec"]
    (processors,) = (m["resource"] for m in autoscaler["metrics"] if m["type"] == "Resource")
    predictor = find(render(KSERVE), "InferenceService")["spec"]["predictor"]
    assert [predictor[key] for key in ("minReplicas", "maxReplicas", "scaleMetric")] == [
        autoscaler["minReplicas"],
        autoscaler["maxReplicas"],
        processors["name"],
    ]
    assert predictor["scaleTarget"] == processors["target"]["averageUtilization"]

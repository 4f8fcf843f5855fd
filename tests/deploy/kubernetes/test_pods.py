"""The pods have the least privileges, correct probes and enough resources."""

from typing import Any

from service.http.routes import find_route
from tests.deploy.kubernetes.manifests import (
    CPU,
    Pods,
    Variant,
    environment,
    find,
    quantity,
    render,
)

USER = 10001  # of the image


def test_pods_meet_the_restricted_standard(pods: Pods) -> None:
    """Of the Pod Security Standards, which a namespace can enforce."""
    assert not pods.spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    context = pods.spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pods.spec["volumes"])
    for container in pods.containers:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own.get("privileged", False) is False
        assert not own.keys() & {"runAsUser", "runAsNonRoot", "seccompProfile"}
        assert not any("hostPort" in port for port in container.get("ports", []))


def test_pods_are_one_user_who_can_write_nothing_but_volumes(pods: Pods) -> None:
    context = pods.spec["securityContext"]
    users = {context.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert users in ({USER}, {None})  # None: OpenShift chooses it
    assert all(c["securityContext"]["readOnlyRootFilesystem"] is True for c in pods.containers)
    kinds = {volume["name"]: volume for volume in pods.spec["volumes"]}
    for container in pods.containers:
        for mount in container["volumeMounts"]:
            assert mount.get("readOnly", False) != ("emptyDir" in kinds[mount["name"]]) or (
                mount["name"] == "models"
            )
    for volume in kinds.values():
        assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})


def test_openshift_chooses_the_user_and_kubernetes_has_the_images() -> None:
    """restricted-v2 refuses a pod that names one."""
    contexts = [
        find(render(variant), "Deployment")["spec"]["template"]["spec"]["securityContext"]
        for variant in (CPU, Variant(CPU.overlay, ("openshift",)))
    ]
    assert [context.get("runAsUser") for context in contexts] == [USER, None]
    assert [context.get("fsGroup") for context in contexts] == [USER, None]
    assert all(context["runAsNonRoot"] for context in contexts)


def test_rollout_waits_longer_than_a_start_takes() -> None:
    spec = find(render(CPU), "Deployment")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    assert spec["progressDeadlineSeconds"] >= 2 * probe["periodSeconds"] * probe["failureThreshold"]


def test_service_can_write_where_it_must(pods: Pods) -> None:
    kinds = {volume["name"]: volume for volume in pods.spec["volumes"]}
    writable = {
        mount["mountPath"]
        for mount in pods.service["volumeMounts"]
        if "emptyDir" in kinds[mount["name"]] and not mount.get("readOnly")
    }
    assert writable == {"/tmp", environment(pods.service)["BENTOML_HOME"]}


def test_models_are_not_written_by_the_service(pods: Pods) -> None:
    store = environment(pods.service).get("BOXPORT_MODEL_STORE")
    for mount in pods.service["volumeMounts"]:
        if mount["mountPath"] == store:
            assert mount["readOnly"] is True


def test_pods_have_no_rights_in_the_cluster(pods: Pods) -> None:
    assert pods.spec["automountServiceAccountToken"] is False
    assert pods.spec["serviceAccountName"] != "default"


def test_probes_ask_what_anybody_may_ask(pods: Pods) -> None:
    probes = {name: _path(probe) for name, probe in _probes(pods).items()}
    for path in probes.values():
        route, _ = find_route(path)
        assert "GET" in route.methods
        assert route.scope is None, f"{path} needs a key"
    assert probes["livenessProbe"] in {"/livez", "/v2/health/live"}
    assert probes["readinessProbe"] in {"/readyz", "/v2/health/ready"}
    assert probes["startupProbe"] == probes["readinessProbe"]


def test_start_may_take_minutes_and_death_is_not_declared_at_once(pods: Pods) -> None:
    def seconds(name: str) -> int:
        probe = _probes(pods)[name]
        return int(probe["periodSeconds"] * probe["failureThreshold"])

    assert seconds("startupProbe") >= 120
    assert seconds("livenessProbe") >= 60
    for probe in _probes(pods).values():
        assert probe["timeoutSeconds"] <= probe["periodSeconds"]


def test_each_container_has_bounds(pods: Pods) -> None:
    for container in pods.containers:
        resources = container["resources"]
        for name in ("cpu", "memory"):
            assert resources["requests"][name] == resources["limits"][name]


def test_processors_are_whole(pods: Pods) -> None:
    """As many runs are concurrent as the limit has whole processors (service/cpus.py)."""
    assert quantity(pods.service["resources"]["limits"]["cpu"]) % 1 == 0


def test_each_gpu_is_asked_for_where_it_is_used(pods: Pods) -> None:
    providers = environment(pods.service).get("BOXPORT_EXECUTION_PROVIDERS", "cpu")
    gpus = pods.service["resources"]["limits"].get("nvidia.com/gpu")
    assert (providers, gpus) in {("cpu", None), ("cuda", "1")}
    tolerated = [one["key"] for one in pods.spec.get("tolerations", [])]
    assert tolerated == (["nvidia.com/gpu"] if gpus else [])


def _probes(pods: Pods) -> dict[str, dict[str, Any]]:
    names = ("startupProbe", "readinessProbe", "livenessProbe")
    return {name: pods.service[name] for name in names}


def _path(probe: dict[str, Any]) -> str:
    path: str = probe["httpGet"]["path"]
    return path

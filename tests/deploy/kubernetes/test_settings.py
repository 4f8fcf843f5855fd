"""The settings in the manifests are valid, and match the pods."""

import sys
from pathlib import Path

import pytest

from service.__main__ import main
from service.imaging.cost import worst_bytes
from service.settings import Settings, read_settings, sources
from tests.deploy.kubernetes.manifests import (
    CPU,
    Manifest,
    Pods,
    environment,
    find,
    of_kind,
    quantity,
    render,
    settings_file,
)

STOP_SECONDS = 10  # from the last answer to the end of all processes
NOTICE_SECONDS = 5  # until every node sends no more to a pod that is not ready
LOADED_BYTES = 600e6  # with all shipped models, after load (docs/kubernetes.md)


@pytest.fixture
def settings(
    manifests: list[Manifest], pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Those of a pod."""
    return _read(manifests, pods, tmp_path, monkeypatch)


def _read(
    manifests: list[Manifest], pods: Pods, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    file = folder / "settings.toml"
    file.write_text(settings_file(manifests))
    for name, value in environment(pods.service).items():
        if name.startswith("BOXPORT_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("BOXPORT_SETTINGS_FILE", str(file))
    return read_settings()


def test_every_variable_is_a_setting(pods: Pods) -> None:
    known = {f"BOXPORT_{name.upper()}" for name in Settings.model_fields}
    for container in pods.containers:
        ours = {name for name in environment(container) if name.startswith("BOXPORT_")}
        assert ours <= known | {"BOXPORT_SETTINGS_FILE"}


def test_settings_are_read(settings: Settings, pods: Pods) -> None:
    assert settings.log_format == "json"
    assert settings.workers == 1  # a pod has few processors: pods are added
    named = environment(pods.service)
    assert str(settings.keys_file) == named.get("BOXPORT_KEYS_FILE", "None")
    assert settings.execution_providers == (named.get("BOXPORT_EXECUTION_PROVIDERS", "cpu"),)


def test_grace_is_the_drain_and_the_longest_request(settings: Settings, pods: Pods) -> None:
    longest = settings.max_request_timeout_ms / 1000
    grace = pods.spec["terminationGracePeriodSeconds"]
    assert grace == settings.drain_seconds + longest + STOP_SECONDS


def test_drain_is_longer_than_the_cluster_takes_to_notice(settings: Settings, pods: Pods) -> None:
    probe = pods.service["readinessProbe"]
    seen = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert settings.drain_seconds >= seen + NOTICE_SECONDS


def test_kserve_waits_for_the_longest_request(
    settings: Settings, manifests: list[Manifest]
) -> None:
    for service in of_kind(manifests, "InferenceService"):
        assert service["spec"]["predictor"]["timeout"] == settings.max_request_timeout_ms / 1000


def test_memory_holds_the_worst_that_is_let_in(
    manifests: list[Manifest], pods: Pods, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = int(quantity(pods.service["resources"]["limits"]["memory"]))
    monkeypatch.setattr("service.settings.available_memory", lambda: limit)
    settings = _read(manifests, pods, tmp_path, monkeypatch)
    worst = LOADED_BYTES + settings.max_bytes_in_service + settings.max_decoding_bytes
    assert worst <= limit
    assert worst_bytes(settings.max_image_pixels, 0) <= settings.max_decoding_bytes
    assert settings.max_body_bytes <= settings.max_bytes_in_service


def test_variables_that_kubernetes_sets_for_the_service_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With enableServiceLinks, as in other pods that run the same image."""
    manifests = render(CPU)
    before = _read(manifests, Pods.of(manifests), tmp_path, monkeypatch)
    stated = sources()
    linked = service_links(find(manifests, "Service"))
    assert {"BOXPORT_PORT", "BOXPORT_SERVICE_PORT_HTTP", "BOXPORT_PORT_80_TCP"} <= linked.keys()
    for name, value in linked.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == before
    assert sources() == stated
    monkeypatch.setattr(sys, "argv", ["service", "settings"])
    main()
    assert capsys.readouterr().err == ""


def test_no_setting_could_be_taken_for_such_a_variable() -> None:
    linked = {name.removeprefix("BOXPORT_").lower() for name in service_links(_widest_service())}
    assert not linked & Settings.model_fields.keys()


def test_pods_are_not_given_them(pods: Pods) -> None:
    assert pods.spec["enableServiceLinks"] is False


def service_links(service: Manifest) -> dict[str, str]:
    """The variables that the kubelet sets in other pods of the namespace for a Service."""
    prefix, address = service["metadata"]["name"].upper().replace("-", "_"), "10.96.0.7"
    ports = service["spec"]["ports"]
    first = f"tcp://{address}:{ports[0]['port']}"
    variables = {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": str(ports[0]["port"]),
        f"{prefix}_PORT": first,
    }
    for port in ports:
        number, protocol = port["port"], port.get("protocol", "TCP")
        stem = f"{prefix}_PORT_{number}_{protocol}"
        variables |= {
            f"{prefix}_SERVICE_PORT_{port['name'].upper()}": str(number),
            stem: f"{protocol.lower()}://{address}:{number}",
            f"{stem}_PROTO": protocol.lower(),
            f"{stem}_PORT": str(number),
            f"{stem}_ADDR": address,
        }
    return variables


def _widest_service() -> Manifest:
    """With usual names of ports."""
    names = ("http", "https", "metrics", "grpc", "http1", "http2", "web")
    ports = [{"name": name, "port": 80 + number} for number, name in enumerate(names)]
    return {"metadata": {"name": "boxport"}, "spec": {"ports": ports}}

"""Who may connect to the pods, and where they may connect to."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.deploy.kubernetes.manifests import Manifest, Pods, environment, of_kind

INGRESS = {"kubernetes.io/metadata.name": "ingress-nginx"}
PROMETHEUS = {"kubernetes.io/metadata.name": "monitoring"}
PRIVATE = ("10.0.0.7", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.1")
PRIVATE_6 = ("fd00::1", "fe80::1")


def test_ingress_prometheus_and_named_pods_may_ask_and_nobody_else(
    manifests: list[Manifest], pods: Pods
) -> None:
    rules = [rule for policy in _policies(manifests, "Ingress") for rule in policy["ingress"]]
    ingress, prometheus = (
        {"namespaceSelector": {"matchLabels": labels}} for labels in (INGRESS, PROMETHEUS)
    )
    named = {"podSelector": {"matchLabels": {"boxport-client": "true"}}}
    wanted = {pods.port["name"]: [ingress, prometheus, named]}
    wanted |= {name: [ingress, named] for name in pods.grpc_ports}  # it has no metrics
    assert len(rules) == len(wanted)
    assert {port["port"]: rule["from"] for rule in rules for port in rule["ports"]} == wanted
    assert all(port["protocol"] == "TCP" for rule in rules for port in rule["ports"])


def test_probes_come_from_the_node(pods: Pods) -> None:
    """No policy blocks it; a probe with a host would come from elsewhere."""
    probes = [probe for name, probe in pods.service.items() if name.endswith("Probe")]
    assert len(probes) == 3
    assert not any("host" in probe["httpGet"] for probe in probes)


def test_pods_call_somebody_only_where_hosts_are_named(
    manifests: list[Manifest], pods: Pods
) -> None:
    rules = [rule for policy in _policies(manifests, "Egress") for rule in policy["egress"]]
    assert all(rule.get("to") for rule in rules)  # without it: everybody
    assert bool(rules) == ("BOXPORT_IMAGE_HOSTS" in environment(pods.service))


def test_egress_is_restricted_everywhere(manifests: list[Manifest]) -> None:
    assert [policy["podSelector"] for policy in _policies(manifests, "Egress")]


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_hosts_of_images_can_be_reached(
    manifests: list[Manifest], pods: Pods, address: str
) -> None:
    if "BOXPORT_IMAGE_HOSTS" in environment(pods.service):
        assert _ports_to(manifests, address) == {("TCP", 80), ("TCP", 443)}
        assert _ports_of_dns(manifests) == {("UDP", 53), ("TCP", 53)}
    else:
        assert _ports_to(manifests, address) == set()


@pytest.mark.parametrize("address", [*PRIVATE, *PRIVATE_6])
def test_nothing_private_can_be_reached(manifests: list[Manifest], address: str) -> None:
    assert _ports_to(manifests, address) == set()


def _policies(manifests: list[Manifest], direction: str) -> list[dict[str, Any]]:
    return [
        policy["spec"]
        for policy in of_kind(manifests, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
    ]


def _ports_to(manifests: list[Manifest], address: str) -> set[tuple[str, int]]:
    """Ports on which addresses outside the cluster may be reached."""
    return {
        (port["protocol"], port["port"])
        for policy in _policies(manifests, "Egress")
        for rule in policy["egress"]
        if any("ipBlock" in peer and _within(address, peer["ipBlock"]) for peer in rule["to"])
        for port in rule["ports"]
    }


def _ports_of_dns(manifests: list[Manifest]) -> set[tuple[str, int]]:
    return {
        (port["protocol"], port["port"])
        for policy in _policies(manifests, "Egress")
        for rule in policy["egress"]
        if any("podSelector" in peer for peer in rule["to"])
        for port in rule["ports"]
    }


def _within(address: str, block: dict[str, Any]) -> bool:
    ip = ip_address(address)
    outer, *inner = (ip_network(text) for text in (block["cidr"], *block.get("except", [])))
    return ip in outer and not any(ip in network for network in inner)

"""Health, as a container asks for it."""

import os

import pytest

from service.healthcheck import Unhealthy, check_health, ready_url


def test_port_in_use_is_asked(ready_port: int) -> None:
    check_health(ready_url({"BENTOML_PORT": str(ready_port)}), timeout=10)


@pytest.mark.parametrize("environment", [{}, {"BENTOML_PORT": ""}])
def test_default_port_is_that_of_bentoml(environment: dict[str, str]) -> None:
    assert ready_url(environment) == "http://127.0.0.1:3000/readyz"


def test_port_that_kubernetes_tells_is_another_thing() -> None:
    told = {"BOXPORT_PORT": "tcp://10.0.0.1:3000", "BOXPORT_SERVICE_PORT": "80"}
    assert ready_url(told) == ready_url({})


def test_service_that_says_no_is_unhealthy(ready_port: int) -> None:
    with pytest.raises(Unhealthy, match=r"/other answers 503$"):
        check_health(f"http://127.0.0.1:{ready_port}/other", timeout=10)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/readyz", "http://127.0.0.1:x/", "no url"])
def test_service_that_is_not_there_is_unhealthy(url: str) -> None:
    with pytest.raises(Unhealthy, match="^" + url.split("/")[0]):
        check_health(url, timeout=10)


def test_no_proxy_is_asked(ready_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9")
    check_health(f"http://127.0.0.1:{ready_port}/readyz", timeout=10)

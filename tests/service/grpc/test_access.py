"""Keys, scopes and rates over gRPC are those of HTTP."""

from collections.abc import Iterator

import grpc
import pytest
from grpc import StatusCode

from service.access.key_file import add_entry
from service.access.keys import new_key
from service.grpc import open_inference_pb2 as pb
from service.manifest import ModelManifest
from tests.service.grpc.servers import Running, ask, call, failure, running

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def guarded(
    grpc_manifest: ModelManifest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, str, str]]:
    """A server with keys; one to infer with, and one whose second request comes too soon."""
    file = tmp_path_factory.mktemp("grpc") / "keys.json"
    texts = []
    for name, rate in (("app", None), ("rare", 0.001)):
        text, entry = new_key(name, ["infer"], rate)
        add_entry(file, entry)
        texts.append(text)
    with running(grpc_manifest, keys_file=file, trusted_proxies=HERE) as server:
        yield server, *texts


def test_a_key_is_asked_for_before_the_message(guarded: tuple[Running, str, str]) -> None:
    server, app, _ = guarded
    with server.channel() as channel:
        for headers in ((), (("x-api-key", "bxp_app_wrong"),)):
            failed = failure(channel, metadata=headers)
            assert failed.code() is StatusCode.UNAUTHENTICATED
            assert failed.details().startswith("unauthenticated: Send a key: ")
        ask(channel, metadata=[("x-api-key", app)])
        ask(channel, metadata=[("authorization", f"Bearer {app}")])
        assert server.worker.recorder.records[-1].caller == "app"
        load = pb.RepositoryModelLoadRequest(model_name="pets")
        with pytest.raises(grpc.RpcError) as caught:
            call(
                channel,
                "RepositoryModelLoad",
                load,
                pb.RepositoryModelLoadResponse,
                metadata=[("x-api-key", app)],
            )
        assert caught.value.code() is StatusCode.PERMISSION_DENIED
        for free in ("ServerLive", "ServerReady"):
            request = getattr(pb, f"{free}Request")()
            call(channel, free, request, getattr(pb, f"{free}Response"))


def test_a_rate_is_that_of_the_key(guarded: tuple[Running, str, str]) -> None:
    server, _, rare = guarded
    with server.channel() as channel:
        ask(channel, metadata=[("x-api-key", rare)])
        failed = failure(channel, metadata=[("x-api-key", rare)])
    assert failed.code() is StatusCode.RESOURCE_EXHAUSTED
    assert failed.details().startswith("rate_limited: More than 0.001 requests a second.")
    assert float(dict(failed.trailing_metadata())["grpc-retry-pushback-ms"]) > 900_000


def test_rates_are_by_address_and_that_of_a_proxy_is_whom_it_tells(
    grpc_manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", HERE)
    with running(grpc_manifest, rate_limit=0.001) as server, server.channel() as channel:
        ask(channel)
        assert failure(channel).code() is StatusCode.RESOURCE_EXHAUSTED
        for address in ("192.0.2.1", "192.0.2.2"):
            ask(channel, metadata=[("x-forwarded-for", address)])
        told = [("x-forwarded-for", "192.0.2.9"), ("x-forwarded-for", "192.0.2.1")]
        assert failure(channel, metadata=told).code() is StatusCode.RESOURCE_EXHAUSTED

"""gRPC listens where HTTP does, and by the same certificates."""

import socket
from pathlib import Path

import click
import grpc
import pytest

from service.grpc.listening import ANY, Listening, host_of, read_credentials
from service.manifest import ModelManifest
from service.settings import Settings
from tests.clients.python.certificates import self_signed
from tests.service.grpc.servers import ask, running


def test_it_is_the_address_of_the_socket_that_http_has() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as bound:
            bound.bind((host, 0))
            assert host_of(bound.fileno()) == host
            assert bound.getsockname()  # it is still open
    assert host_of(None) == ANY


def test_the_options_of_the_server_of_http_are_read() -> None:
    settings = Settings(grpc_port=4001, workers=2)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        context = click.Context(click.Command("worker"))
        context.params = {"fd": bound.fileno(), "ssl_certfile": None}
        with context.scope():
            listening = Listening.beside_http(settings)
    assert listening == Listening("127.0.0.1", 4001, is_shared=True)
    assert Listening.beside_http(Settings(grpc_port=4001)) == Listening(ANY, 4001)


def test_a_key_with_a_password_is_refused() -> None:
    options = {"ssl_certfile": "any.pem", "ssl_keyfile_password": "secret"}
    with pytest.raises(ValueError, match="no key that has a password"):
        read_credentials(options)
    assert read_credentials({"ssl_certfile": None}) is None


def test_it_has_the_certificate_that_http_has(tmp_path: Path, manifest: ModelManifest) -> None:
    certificate = self_signed(tmp_path, "localhost")
    credentials = read_credentials({"ssl_certfile": str(certificate), "ssl_keyfile": None})
    with running(manifest, Listening("127.0.0.1", 0, credentials=credentials)) as server:
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{server.port}", trusted) as channel:
            ask(channel)
        with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:
            ask(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

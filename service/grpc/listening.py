"""Where gRPC listens: at its own port, on the address and by the certificates that HTTP has.

`bentoml serve` is told these by its options, and tells its workers by theirs.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import CERT_NONE
from typing import Any

import click
import grpc
from grpc import aio

from service.settings import Settings

ANY = "0.0.0.0"


@dataclass(frozen=True)
class Listening:
    """host, port: port 0 is any that is free. is_shared: by all workers.
    credentials: None without TLS.
    """

    host: str
    port: int
    is_shared: bool = False
    credentials: grpc.ServerCredentials | None = None

    @classmethod
    def beside_http(cls, settings: Settings) -> "Listening":
        """As the server of HTTP in this process does, but at ``settings.grpc_port``."""
        context = click.get_current_context(silent=True)
        options = {} if context is None else context.params
        assert settings.grpc_port is not None
        return cls(
            host_of(options.get("fd")),
            settings.grpc_port,
            settings.worker_count > 1,
            read_credentials(options),
        )

    def add_to(self, server: aio.Server) -> int:
        """The port that ``server`` then listens on; raises RuntimeError if it cannot."""
        address = f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        if self.credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self.credentials)


def host_of(descriptor: int | None) -> str:
    """The address that the socket ``descriptor`` is bound to; any, where there is none."""
    if descriptor is None:
        return ANY
    with socket.socket(fileno=os.dup(descriptor)) as bound:
        host: str = bound.getsockname()[0]
    return host


def read_credentials(options: Mapping[str, Any]) -> grpc.ServerCredentials | None:
    """Those that the options --ssl-… of `bentoml serve` name; None without. A key's password is not
    for gRPC: raises ValueError."""
    if options.get("ssl_certfile") is None:
        return None
    if options.get("ssl_keyfile_password"):
        raise ValueError("gRPC reads no key that has a password (--ssl-keyfile-password)")
    certificate = Path(options["ssl_certfile"]).read_bytes()
    key = Path(options.get("ssl_keyfile") or options["ssl_certfile"]).read_bytes()
    authorities = options.get("ssl_ca_certs")
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        Path(authorities).read_bytes() if authorities else None,
        (options.get("ssl_cert_reqs") or CERT_NONE) != CERT_NONE,
    )

"""Whether the service of this container is ready, for `python -m service healthcheck`.

Nothing but the standard library is imported: a container asks every few seconds.
"""

from collections.abc import Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

# `bentoml serve` reads it too. A variable of our own would be BOXPORT_PORT, which Kubernetes sets
# to an address for a Service named boxport.
PORT_VARIABLE = "BENTOML_PORT"
DEFAULT_PORT = "3000"


class Unhealthy(Exception):
    """A service that is not ready, or not there; the message says which."""


def ready_url(environment: Mapping[str, str]) -> str:
    """/readyz on the port that `bentoml serve` takes in this ``environment``."""
    return f"http://127.0.0.1:{environment.get(PORT_VARIABLE) or DEFAULT_PORT}/readyz"


def check_health(url: str, timeout: float) -> None:
    """Raises Unhealthy unless ``url`` answers with success within ``timeout`` seconds."""
    try:
        # not by way of a proxy: the service is in the same container
        build_opener(ProxyHandler({})).open(url, timeout=timeout).close()
    except HTTPError as error:
        error.close()
        raise Unhealthy(f"{url} answers {error.code}") from None
    except (OSError, ValueError, HTTPException) as error:  # the last two: no URL, or no HTTP
        raise Unhealthy(f"{url}: {getattr(error, 'reason', error)}") from None

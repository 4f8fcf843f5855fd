"""`boxport wait`"""

from typing import Annotated

from boxport_client.cli import _options as given
from boxport_client.cli._settings import find_service
from boxport_client.cli._terminal import waiting

Timeout = Annotated[
    float, given.option(None, "--timeout", "SECONDS", "When to give up.", min=0.001)
]


def wait(
    timeout: Timeout = 60.0,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    ca_file: given.CaFile = None,
) -> None:
    """Wait until the service is ready: every model is loaded.

    \b
      boxport wait && boxport detect photos/
      boxport wait --timeout 300 --url http://boxport:3000

    Exit status: 0 it is ready, 3 it is not ready after the timeout.
    """
    service = find_service(url, api_key, profile, ca_file)
    with service.client() as client, waiting(f"waiting for {service.shown_address}"):
        client.wait_until_ready(timeout)

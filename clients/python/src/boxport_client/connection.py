"""Where the service is and how it is reached, for both clients."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import httpx

from boxport_client.conversation import Conversations
from boxport_client.errors import MissingExtra

DEFAULT_URL = "http://localhost:3000"
# Shorter than the 5 s after which uvicorn, which the service runs on, closes an idle connection:
# otherwise requests would now and then meet a connection that is just being closed.
KEEPALIVE_SECONDS = 4.0


def conversations(
    url: str | None, api_key: str | None, timeout: float, retries: int, priority: str | None
) -> Conversations:
    """Those of a client; what is not given is taken from the environment. Raises ValueError."""
    return Conversations(
        url or os.environ.get("BOXPORT_URL") or DEFAULT_URL,
        api_key or os.environ.get("BOXPORT_API_KEY") or None,
        timeout,
        retries,
        priority,
    )


def connection_options(http2: bool) -> dict[str, Any]:
    """Arguments of httpx's clients. Raises MissingExtra if HTTP/2 is asked for and cannot be had.

    As many connections are kept as there are calls at a time, which callers bound: a lower limit
    would open and close one for each call beyond it.
    """
    if http2 and importlib.util.find_spec("h2") is None:
        raise MissingExtra("http2=True needs h2: pip install 'boxport-client[http2]'")
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_SECONDS
    )
    return {"http2": http2, "limits": limits}

"""A BentoML service behind the gate."""

from typing import Any

from _bentoml_sdk.service import Service
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from service.api.gate import Gate

# What BentoML puts around every request, and the gate does better or nobody needs. The timeout
# cannot be turned off by a setting, and leaves a timer for each request until it is over: at a
# hundred requests a second and five minutes those were 70 MB.
LEFT_OUT = (TimeoutMiddleware, OpenTelemetryMiddleware)


class GatedService(Service[Any]):
    """As BentoML's, but the gate is outermost: what it refuses costs nothing further."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Any:
        app = super().to_asgi(is_main)
        app.user_middleware = [m for m in app.user_middleware if m.cls not in LEFT_OUT]
        return Gate(app)

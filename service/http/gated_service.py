"""A BentoML service behind the gate."""

from typing import Any

from _bentoml_sdk.service import Service
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

# What BentoML puts around every request, and no setting turns off. The timeout leaves a timer for
# each request until it would have been over: with one of five minutes a server of mixed load grew
# by 14 % in nine, without by 1 % (docs/soak.md). Spans are made by `service.telemetry.spans`.
LEFT_OUT = (TimeoutMiddleware, OpenTelemetryMiddleware)


class GatedService(Service[Any]):
    """As BentoML's, but the gate is outermost: what it refuses costs nothing further."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Any:
        """What a worker serves; the process that starts workers never calls, or imports, it."""
        from service.http.gate import Gate
        from service.http.routes import routes_app

        self.mount_asgi_app(routes_app, path="/")
        app = super().to_asgi(is_main)
        app.user_middleware = [m for m in app.user_middleware if m.cls not in LEFT_OUT]
        return Gate(app)

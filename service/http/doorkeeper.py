"""Who may come in, and the record of who came."""

import signal
import threading
import time

from service.access.key_file import KeysError, Scope
from service.access.keys import Caller, KeyRing
from service.access.rates import Rate, Rates, address_name
from service.http.exchange import Exchange
from service.http.routing import check_route
from service.problems import Problem
from service.settings import Settings
from service.telemetry.access import AccessLog
from service.telemetry.logs import logger
from service.telemetry.metrics import Metrics
from service.telemetry.spans import NoSpans

REFRESH_SECONDS = 1.0  # between two looks at the file of keys


class Doorkeeper:
    """Admits requests by key and rate, counts those inside, and notes each that leaves.

    draining: whether the service is about to stop. It goes on answering, but is not ready.
    """

    def __init__(self, settings: Settings, metrics: Metrics, spans: NoSpans) -> None:
        """Raises KeysError if there is a file of keys that cannot be used."""
        self._ring = KeyRing(settings.keys_file) if settings.keys_file else None
        self._rate = Rate.of(settings.rate_limit) if settings.rate_limit else None
        self._known, self._strangers = Rates(), Rates()
        self._metrics, self._spans = metrics, spans
        self._access_log = AccessLog(settings.access_log_sample, settings.slow_request_ms / 1000)
        self._refreshed = time.monotonic()
        self._present: dict[int, Exchange] = {}
        self.draining = False

    @property
    def inside(self) -> int:
        """Requests begun and not yet answered."""
        return len(self._present)

    def enter(self, exchange: Exchange) -> None:
        self._present[id(exchange)] = exchange

    def leave(self, exchange: Exchange) -> None:
        del self._present[id(exchange)]
        self.note(exchange)

    def admit(self, exchange: Exchange) -> None:
        """Let a request in; raises Problem if it may not come."""
        check_route(exchange.route, exchange.method, exchange.path)
        scope = exchange.route.scope if exchange.route else None
        if scope is None:
            return
        if self._ring is not None:
            self._identify(exchange, self._ring)
        self._limit(exchange)  # those with a wrong key too: each try costs something
        if self._ring is not None:
            _check_scope(exchange.caller, scope)
        elif scope == "admin":
            raise Problem(
                "forbidden",
                "This needs a key with the scope admin, and the service has no keys"
                " (`python -m service key`, BOXPORT_KEYS_FILE).",
            )

    def note(self, exchange: Exchange) -> None:
        """Record a request that has been replied to."""
        ended = time.perf_counter()
        seconds = ended - exchange.started
        self._metrics.request(
            exchange.template, exchange.model, exchange.status, exchange.reason, seconds
        )
        if self._spans.enabled:
            self._spans.request(
                exchange.headers,
                method=exchange.method,
                route=exchange.template,
                status=exchange.status,
                reason=exchange.reason,
                request_id=exchange.request_id,
                started=exchange.started,
                ended=ended,
                stages=exchange.stages,
                model=exchange.model,
            )
        self._access_log.write(
            request_id=exchange.request_id,
            method=exchange.method,
            route=exchange.template,
            status=exchange.status,
            reason=exchange.reason,
            seconds=seconds,
            request_bytes=exchange.request_bytes,
            response_bytes=exchange.response_bytes,
            model=exchange.model,
            images=exchange.images,
            caller=exchange.caller.name if exchange.caller else None,
        )

    def drain_on_sigterm(self, seconds: float) -> None:
        """At SIGTERM stop being ready at once, go on for ``seconds`` and until those are answered
        who were inside then, and only then let the server stop, which answers the rest.

        Must be called on the main thread, once the server has its own handler.
        """
        stop = signal.getsignal(signal.SIGTERM)

        def begin(number: int, frame: object) -> None:
            if self.draining:  # told twice: at once
                stop_now()
                return
            self.draining = True
            logger.info("SIGTERM: not ready any more, %d requests inside", self.inside)
            threading.Thread(target=finish, name="drain", daemon=True).start()

        def finish() -> None:
            told, ends = time.perf_counter(), time.monotonic() + seconds
            # not until nobody is inside: under load that never comes
            while self._is_inside_since(told) or time.monotonic() < ends:
                time.sleep(0.02)
            stop_now()

        def stop_now() -> None:
            if callable(stop):
                stop(signal.SIGTERM, None)

        signal.signal(signal.SIGTERM, begin)

    def _is_inside_since(self, moment: float) -> bool:
        return any(exchange.started <= moment for exchange in list(self._present.values()))

    def _identify(self, exchange: Exchange, ring: KeyRing) -> None:
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            try:
                ring.refresh()
            except KeysError as error:
                logger.error("the keys stay what they were: %s", error)
        headers = exchange.headers
        exchange.caller = ring.find(headers.get("authorization"), headers.get("x-api-key"))

    def _limit(self, exchange: Exchange) -> None:
        caller = exchange.caller
        rate = (caller.rate if caller else None) or self._rate
        if rate is None:
            return
        if caller is not None:
            wait = self._known.take(caller.name, rate)
        else:
            wait = self._strangers.take(address_name(exchange.client), rate)
        if wait:
            raise Problem(
                "rate_limited",
                f"More than {rate.per_second:g} requests a second. Try again in {wait:.2f} s.",
                retry_after=wait,
            )


def _check_scope(caller: Caller | None, scope: Scope) -> None:
    if caller is None:
        raise Problem(
            "unauthenticated", "Send a key: Authorization: Bearer <key>, or X-API-Key: <key>."
        )
    if scope not in caller.scopes:
        raise Problem("forbidden", f"The key {caller.name} has not the scope {scope}.")

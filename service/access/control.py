"""Access control: whose request it is, what its key allows, and how often it may come."""

import time
from collections.abc import Mapping

from service.access.key_file import KeysError, Scope
from service.access.keys import Caller, KeyRing
from service.access.rates import Rate, Rates, address_name
from service.problems import Problem
from service.scoreboard import Scoreboard
from service.settings import Settings
from service.telemetry.logs import logger

REFRESH_SECONDS = 1.0  # between two looks at the file of keys


class AccessControl:
    """Keys, scopes and rates, as the settings ask for them."""

    def __init__(self, settings: Settings, board: Scoreboard | None = None) -> None:
        """Raises KeysError if there is a file of keys that cannot be used."""
        self._ring = KeyRing(settings.keys_file) if settings.keys_file else None
        self._rate = Rate.of(settings.rate_limit) if settings.rate_limit else None
        self._rates_by_key = Rates(board, "rates by key")
        self._rates_by_address = Rates(board, "rates by address")
        self._refreshed = time.monotonic()

    def identify(self, headers: Mapping[str, str]) -> Caller | None:
        """Whose key is in ``headers``, their names in lower case; None if it is unknown, or the
        service has no keys."""
        if self._ring is None:
            return None
        self._refresh(self._ring)
        return self._ring.find(headers.get("authorization"), headers.get("x-api-key"))

    def authorize(self, caller: Caller | None, scope: Scope, address: str) -> None:
        """Raise Problem unless ``caller`` at ``address`` may make a request that needs ``scope``.

        A request with a wrong key counts towards its address's rate, so that keys cannot be tried
        without end.
        """
        self._check_rate(caller, address)
        if self._ring is None:
            if scope == "admin":
                raise Problem(
                    "forbidden",
                    "This needs a key with the scope admin, and the service has no keys"
                    " (`python -m service key`, BOXPORT_KEYS_FILE).",
                )
        elif caller is None:
            raise Problem(
                "unauthenticated", "Send a key: Authorization: Bearer <key>, or X-API-Key: <key>."
            )
        elif scope not in caller.scopes:
            raise Problem("forbidden", f"The key {caller.name} does not have the scope {scope}.")

    def _refresh(self, ring: KeyRing) -> None:
        now = time.monotonic()
        if now - self._refreshed > REFRESH_SECONDS:
            self._refreshed = now
            try:
                ring.refresh()
            except KeysError as error:
                logger.error("the keys stay what they were: %s", error)

    def _check_rate(self, caller: Caller | None, address: str) -> None:
        rate = (caller.rate if caller else None) or self._rate
        if rate is None:
            return
        if caller is not None:
            wait = self._rates_by_key.take(caller.name, rate)
        else:
            wait = self._rates_by_address.take(address_name(address), rate)
        if wait:
            raise Problem(
                "rate_limited",
                f"More than {rate.per_second:g} requests a second. Try again in {wait:.2f} s.",
                retry_after=wait,
            )

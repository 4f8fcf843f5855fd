"""Rate limits: a token bucket for each caller."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address

from service.scoreboard import Row, Scoreboard

MIN_RATE = 1e-5  # a second; of far less nobody can be told when to come again
ALMOST_ONE = 1 - 1e-9  # a caller that waits as long as told must not fail by rounding
WAYS = 8
CALLER, TOKENS, AT = range(3)  # the cells of a bucket: the tokens that were left at that time
BUCKET = 3


@dataclass(frozen=True)
class Rate:
    """``per_second`` requests on average, and ``burst`` at once after a pause.

    In any t seconds at most per_second * t + burst requests pass. Raises ValueError if
    ``per_second`` is below `MIN_RATE` or infinite, or ``burst`` is less than 1.
    """

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not (MIN_RATE <= self.per_second < math.inf and self.burst >= 1):
            raise ValueError(
                f"{self}: per_second must be above 0, {MIN_RATE:g} at least, and finite,"
                " burst at least 1"
            )

    @classmethod
    def of(cls, per_second: float, burst: int | None = None) -> "Rate":
        """Where no ``burst`` is given, it is what one second brings."""
        return cls(per_second, max(1, math.ceil(per_second)) if burst is None else burst)


class Rates:
    """The buckets of the last callers, about ``max_callers``; safe to use from several threads.

    The number is bounded: callers without a key are known by their address, and addresses are
    endless. A caller that was forgotten starts with a full bucket. Keep callers with keys in a
    `Rates` of another ``name``, so that a flood of addresses does not displace them.

    All processes of the service share them: they lie in the scoreboard's common row, as a hash
    table. A caller is looked for in `WAYS` places, of which the least recently seen one's is given
    to whoever is new. Nobody can choose names that meet in the same ones: the hash is keyed.
    """

    def __init__(
        self,
        board: Scoreboard | None = None,
        name: str = "rates",
        *,
        max_callers: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._clock = board or Scoreboard.alone(), clock
        self._sets = max(1, max_callers // WAYS)
        self._ways = max_callers // self._sets
        self._place = self._board.cells(name, (), self._sets * self._ways * BUCKET)

    def take(self, name: str, rate: Rate) -> float:
        """Seconds until ``name`` may send a request; 0.0 if it may now, and then this one is
        counted. A request that is refused is not.

        ``rate`` is given each time, so that a changed limit holds from the next request on.
        """
        digest = blake2b(name.encode("utf-8", "replace"), digest_size=6, key=self._board.secret)
        caller = 1 + int.from_bytes(digest.digest(), "big")  # 0 is nobody's
        with self._board.lock():
            now = self._clock()
            bucket = self._find(caller)
            if bucket[CALLER] != caller:
                bucket[CALLER], bucket[TOKENS], bucket[AT] = caller, rate.burst, now
            tokens = min(rate.burst, bucket[TOKENS] + (now - bucket[AT]) * rate.per_second)
            passes = tokens >= ALMOST_ONE
            bucket[TOKENS], bucket[AT] = tokens - passes, now
        return 0.0 if passes else (1 - tokens) / rate.per_second

    def _find(self, caller: int) -> Row:
        """The caller's bucket, or the one that it is to have."""
        first = self._place + caller % self._sets * self._ways * BUCKET
        places = range(first, first + self._ways * BUCKET, BUCKET)
        cells = self._board.common
        place = next((one for one in places if cells[one + CALLER] == caller), None)
        if place is None:
            place = min(places, key=lambda one: cells[one + AT])
        return cells[place : place + BUCKET]


def address_name(host: str) -> str:
    """The name by which a caller at the address ``host`` is counted.

    Of an IPv6 address that is its /64: one customer is given at least that much (RFC 6177), and
    could have a fresh address for each request.
    """
    try:
        address = ip_address(host)
    except ValueError:  # a socket's path, or what a test client calls itself
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"

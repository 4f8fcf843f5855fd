"""Rate limits: a token bucket for each caller."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MIN_RATE = 1e-5  # a second; of far less nobody can be told when to come again
ALMOST_ONE = 1 - 1e-9  # a caller that waits as long as told must not fail by rounding


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


@dataclass
class Bucket:
    """``tokens`` that were left at the time ``at``."""

    tokens: float
    at: float


class Rates:
    """The buckets of the last ``max_callers`` callers; safe to use from several threads.

    The number is bounded: callers without a key are known by their address, and addresses are
    endless. A caller that was forgotten starts with a full bucket. Keep callers with keys in a
    `Rates` of their own, so that a flood of addresses does not displace them.
    """

    def __init__(
        self, *, max_callers: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_callers, self._clock = max_callers, clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()  # least recently seen first
        self._lock = threading.Lock()

    def take(self, name: str, rate: Rate) -> float:
        """Seconds until ``name`` may send a request; 0.0 if it may now, and then this one is
        counted. A request that is refused is not.

        ``rate`` is given each time, so that a changed limit holds from the next request on.
        """
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(name)
            if bucket is None:
                bucket = self._buckets[name] = Bucket(rate.burst, now)
                if len(self._buckets) > self._max_callers:
                    self._buckets.popitem(last=False)
            self._buckets.move_to_end(name)
            grown = bucket.tokens + (now - bucket.at) * rate.per_second
            bucket.tokens, bucket.at = min(rate.burst, grown), now
            if bucket.tokens < ALMOST_ONE:
                return (1 - bucket.tokens) / rate.per_second
            bucket.tokens -= 1
            return 0.0


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

"""Admission: bounds on what the engine has accepted and not yet answered.

Without a bound, overload turns into answers that come after their client has given up; with one it
is refused at once, which the client can act on.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.inference.deadline import Priority
from service.problems import Problem
from service.runtime.memory import trim_memory

# Of the images in service, the share that bulk work may take; the rest is for interactive requests.
BULK_SHARE = 0.5
LARGE_PHOTO = 256 * 2**20  # bytes while it is decoded, for a second or more


class Room:
    """What one request's body holds of the bytes that all bodies may take."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.bytes = 0

    def add(self, number: int) -> None:
        """Count ``number`` bytes that have come; raises Problem if they are too many."""
        self.bytes += number
        self._admission.add_bytes(number, self.bytes)


class Admission:
    """Counts images, bodies and the memory of decoding in service; may be used from any thread.

    max_images: accepted and not yet answered.
    max_bytes: of the bodies of all requests that have not been answered.
    max_decoding: bytes that photos take while they are decoded.
    """

    def __init__(self, max_images: int, max_bytes: int, max_decoding: int) -> None:
        self._max_images, self._max_bytes, self._max_decoding = max_images, max_bytes, max_decoding
        self._lock = threading.Lock()
        self.images = 0
        self.bytes = 0
        self.decoding = 0

    def check(self, priority: Priority) -> None:
        """Raise Problem if no image at all would be let in: before a body is even read."""
        limit = self._limit(priority)
        if self.images >= limit:
            raise self._refusal(f"{self.images} images are in service", limit)

    @contextmanager
    def hold_images(self, number: int, priority: Priority) -> Iterator[None]:
        """Room for ``number`` images; raises Problem if there is not enough, now or ever."""
        limit = self._limit(priority)
        if number > limit:
            raise Problem(
                "too_many_images",
                f"{number} images; at most {limit} are in service at once"
                f" ({priority.value}). Send several requests.",
            )
        with self._lock:
            if self.images + number > limit:
                raise self._refusal(f"{self.images} images are in service", limit)
            self.images += number
        try:
            yield
        finally:
            with self._lock:
                self.images -= number

    @contextmanager
    def hold_bytes(self) -> Iterator[Room]:
        """Room for a body as it comes, until its request has been answered."""
        room = Room(self)
        try:
            yield room
        finally:
            with self._lock:
                self.bytes -= room.bytes

    @contextmanager
    def keep_images(self, number: int) -> Iterator[None]:
        """Count ``number`` images that an admitted request has turned out to have, whatever the
        limit: others wait for them."""
        with self._lock:
            self.images += number
        try:
            yield
        finally:
            with self._lock:
                self.images -= number

    @contextmanager
    def keep_memory(self, number: int) -> Iterator[None]:
        """Count ``number`` bytes of a photo that stays after it was decoded, whatever the limit."""
        with self._lock:
            self.decoding += number
        try:
            yield
        finally:
            with self._lock:
                self.decoding -= number

    def keep_bytes(self, number: int) -> Callable[[], None]:
        """Count ``number`` bytes that are there whatever the limit, until the result is called."""
        with self._lock:
            self.bytes += number

        def release() -> None:
            with self._lock:
                self.bytes -= number

        return release

    def add_bytes(self, number: int, of_body: int) -> None:
        """Count ``number`` bytes, the last of ``of_body`` of one request.

        Raises Problem if all bodies together are too large, or that one would be alone.
        """
        with self._lock:
            self.bytes += number
            if of_body > self._max_bytes:
                raise Problem(
                    "body_too_large",
                    f"The body has over {self._max_bytes} bytes: all that are in service at once.",
                )
            if self.bytes > self._max_bytes:
                raise self._refusal("the bodies in service are too large", self._max_bytes)

    @contextmanager
    def hold_memory(self, number: int) -> Iterator[None]:
        """Room to decode a photo that takes ``number`` bytes; raises Problem if there is not
        enough, now or ever."""
        if number > self._max_decoding:
            raise Problem(
                "image_too_large",
                f"Decoding the image takes {number} bytes; at most {self._max_decoding} are"
                " there. Save it smaller, or as a baseline JPEG.",
            )
        with self._lock:
            if self.decoding + number > self._max_decoding:
                held = f"photos that take {self.decoding} bytes are being decoded"
                raise self._refusal(held, self._max_decoding)
            self.decoding += number
        try:
            yield
        finally:
            with self._lock:
                self.decoding -= number
            if number >= LARGE_PHOTO:  # of which decoders' pools leave tens of megabytes behind
                trim_memory()

    def _limit(self, priority: Priority) -> int:
        if priority is Priority.BULK:
            return max(1, int(self._max_images * BULK_SHARE))
        return self._max_images

    @staticmethod
    def _refusal(held: str, limit: int) -> Problem:
        return Problem("overloaded", f"{held}; at most {limit} are let in. Try again in a moment.")

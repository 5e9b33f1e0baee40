"""How many bytes of bodies the service holds at once: those of one client after another, not of all of them."""

from __future__ import annotations

from service.rejected import Overloaded

FREE_BYTES = 16 * 2**10
"""So many bytes of each body do not count: small requests are answered however much of others is on its way."""


class Bodies:
    """The bytes of all bodies that are held, beyond the first 16 KiB of each; belongs to one event loop."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.nbytes = 0

    def counted(self, nbytes: int) -> int:
        """How many of a body's bytes count."""
        return max(0, nbytes - FREE_BYTES)

    def enter(self, before: int, more: int) -> None:
        """So many more bytes of a body of which there were some before are held.

        Raises:
            Overloaded: there is no room for them.
        """
        added = self.counted(before + more) - self.counted(before)
        if added and self.nbytes + added > self._bytes_max:
            raise Overloaded(waiting=f"{self.nbytes} bytes of other bodies")
        self.nbytes += added

    def leave(self, nbytes: int) -> None:
        """So many of the bytes that count are held no longer."""
        self.nbytes -= nbytes

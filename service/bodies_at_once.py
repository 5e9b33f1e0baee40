"""How many bytes of bodies, of requests and of answers, the service holds at once."""

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

    def has_room(self, nbytes: int) -> bool:
        """True where an answer of so many bytes can be held; a single one may be larger than all the room."""
        added = self.counted(nbytes)
        return not (added and self.nbytes) or self.nbytes + added <= self._bytes_max

    def enter_answer(self, nbytes: int) -> None:
        """An answer of so many bytes is held until its client has taken it."""
        self.nbytes += self.counted(nbytes)

    def leave(self, nbytes: int) -> None:
        """So many of the bytes that count are held no longer."""
        self.nbytes -= nbytes

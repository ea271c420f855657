"""What the emitter needs of a network. Real links and the simulator's are behind it."""

from __future__ import annotations

from typing import Protocol


class Port(Protocol):
    """Cells out to all links, cells in by lane."""

    def send(self, cell: memoryview) -> None:
        """Put one cell on every link. Never blocks; what a link cannot take is dropped."""

    def receive(self, lane: int, buffer: memoryview) -> int:
        """The next cell of a lane into `buffer`; its size, 0 when there is none.

        A size larger than the buffer means that the cell was cut off.
        """

    def serve(self) -> None:
        """Once per round: answer handshakes, see what became of the links."""

    def link_state(self, lane: int) -> str:
        """Text for people; empty when the link is up. Of the own lane: what is wrong with it."""

    def told(self, lane: int, endpoint: str) -> None:
        """A member may be reached there, too."""

    def address(self, lane: int) -> tuple[str, str]:
        """The endpoint that is tried or used, and the same with its name looked up."""

    def complaints(self) -> list[str]:
        """Errors since the last call, for people."""

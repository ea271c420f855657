"""What the node tells one box about itself."""

from __future__ import annotations

from dataclasses import dataclass

TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class BoxSetup:
    """One box as configured. Paths are absolute."""

    name: str
    path: str
    box_id: bytes
    """BLAKE2b-512 of the name."""
    index_path: str
    ignore_symlinks: bool = False
    follow_symlinks: bool = False
    """Links made on this disk show what they lead to."""
    private: tuple[str, ...] = ()
    """Files and directories of flocksy's own, which no link may show."""
    removable: bool = False

    @property
    def tag(self) -> bytes:
        """The box in messages: the first bytes of its id."""
        return self.box_id[:TAG_BYTES]

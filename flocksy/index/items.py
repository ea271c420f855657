"""What the lanes have carried, as reconciliation sees it: one item per path.

key = 16 bytes of BLAKE2b over the path, item = 32 bytes of BLAKE2b over path and sorted head ids,
fingerprint of a range = (count, sum of the items mod 2^256). Implements `sync.reconcile.Items`.
"""

from __future__ import annotations

from collections.abc import Sequence


class LaneItems:
    """Part of `BoxIndex`, which keeps it up to date. Ranges are lower <= key < upper; an empty
    `upper` means no end."""

    def digest(self) -> bytes:
        """Fingerprint of the whole box, 32 bytes."""
        raise NotImplementedError

    def fingerprint(self, lower: bytes, upper: bytes) -> tuple[int, int]:
        """(count, sum mod 2^256). Costs the edges of the range, not its length."""
        raise NotImplementedError

    def items(self, lower: bytes, upper: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """(key, item) in order of the key."""
        raise NotImplementedError

    def path_of(self, key: bytes) -> str | None:
        """The path behind a key, if the lanes have carried it."""
        raise NotImplementedError

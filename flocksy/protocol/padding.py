"""How long bursts are: few classes of length, so that a length says little (rule 6)."""

from __future__ import annotations

MIN_BURST_CELLS = 64
"""Every burst is at least this long: a small change looks like a somewhat larger one."""

POWERS_BELOW_CELLS = 1024
"""Powers of two below, Padmé from here on, where doubling would cost too much traffic."""

MAX_BURST_CELLS = 1 << 23
"""More than 1 GiB (design 4.2) in the smallest cells that rule 11 allows, 223 bytes. Larger needs
take several bursts; a larger length from the network is hostile."""


def padded(cells: int) -> int:
    """The length of the burst for a need of `cells`, not smaller than it.

    At least `MIN_BURST_CELLS`, the next power of two below `POWERS_BELOW_CELLS`, Padmé above
    (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
    PURBs", 2019): only the upper ⌊log2 E⌋ + 1 bits of the length may differ from zero, where
    E = ⌊log2 L⌋. At most 12 % more than asked for.

    Raises:
        ValueError: `cells` is not in 1..`MAX_BURST_CELLS`.
    """
    if not 1 <= cells <= MAX_BURST_CELLS:
        raise ValueError(f"a burst has 1 to {MAX_BURST_CELLS} cells, not {cells}")
    if cells <= MIN_BURST_CELLS:
        return MIN_BURST_CELLS
    if cells <= POWERS_BELOW_CELLS:
        return 1 << (cells - 1).bit_length()
    exponent = cells.bit_length() - 1
    significant = exponent.bit_length()
    step = 1 << (exponent - significant)
    return -(-cells // step) * step


def most_cells(burst_cell: int) -> int:
    """The longest burst of cells of this size: 1 GiB and a sixteenth for headers and framing
    (design 4.2). A longer one from the network is hostile."""
    return min(MAX_BURST_CELLS, padded(max(1, (17 << 26) // burst_cell)))

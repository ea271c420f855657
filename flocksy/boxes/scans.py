"""What an open box asks of the scanner: when, how fast, and in which words."""

from __future__ import annotations

import itertools

from flocksy.boxes.activation import Opened
from flocksy.boxes.scanner import ScanRequest, Symlinks
from flocksy.boxes.setup import BoxSetup

RESCAN_SECONDS = 3600.0
"""Between full rescans: what the watcher missed is found then (design 6.3)."""

FAILED_SECONDS = 3.0
"""After a scan that failed the whole box is looked at: whatever the scan was to find is unknown."""

RESCAN_SHARE = 0.005
"""The share of a core that an hourly rescan may use (design 6.3)."""

SCAN_SHARE = 0.5
"""The share of a core for everything else, the same on all nodes (design 4.3, rule 5)."""

_TICKETS = itertools.count(1)
"""Of scans: never the same twice, however often a box is closed and opened."""


def scan_request(
    setup: BoxSetup,
    opened: Opened,
    paths: tuple[str, ...] | None,
    share: float,
    *,
    undecided: bool,
) -> ScanRequest:
    """A request with a ticket of its own. `paths` None: the whole box. `undecided`: no link is
    followed or given up, since what the flock holds is not known yet."""
    links, capabilities = opened.links, opened.capabilities
    return ScanRequest(
        ticket=next(_TICKETS),
        box=setup.name,
        root=setup.path,
        index=setup.index_path,
        paths=paths,
        symlinks=Symlinks.IGNORE if setup.ignore_symlinks else Symlinks.COPY,
        mtime_grain_ns=capabilities.mtime_grain_ns,
        case_folding=capabilities.case_folding,
        stable_inodes=capabilities.stable_inodes,
        share=share,
        follow=None if links is None else links.request(undecided=undecided),
    )

"""The look that takes its time: it compares a box with what is known of it, and reads no content.

At the share of a core that the hourly look has, reading one large new file would take hours. So it
names what is not as it was known, and whoever asked has just that looked at.
"""

from __future__ import annotations

from flocksy.boxes.disk.port import Stat
from flocksy.boxes.scan.findings import Differs
from flocksy.boxes.scan.walk import Steps, Walk
from flocksy.sync.trees import DiskEntry


class Comparing(Walk):
    """A walk that says `Differs` where another one reads."""

    def _hash(self, path: str, _found: Stat, _link: bytes) -> Steps:
        yield Differs(path)

    def _look_at_attributes(
        self, path: str, _found: Stat, _entry: DiskEntry, _link: bytes
    ) -> Steps:
        yield Differs(path)

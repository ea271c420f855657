"""Changes of metadata of which a disk took the time and refused the mode.

A time that was set may hide an edit, so such a path is looked at once more, and after each look it
is planned. Where the disk takes a time in its own way, the plan would be the same each time, and
the pause would be none.
"""

from __future__ import annotations

from flocksy.boxes.apply.batch import Outcome, Result
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import Operation, SetMetadata
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Version


class Refused:
    """Those of one box."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._shown: dict[str, tuple[Version, DiskEntry | None]] = {}

    def note(self, outcome: Outcome) -> bool:
        """Whether the outcome is such a change. It is remembered, and any other ends that."""
        operation = outcome.operation
        self.forget(operation.path)
        is_done = outcome.result is Result.DONE
        if not (isinstance(operation, SetMetadata) and is_done and outcome.problem):
            return False
        self._shown[operation.path] = operation.version, outcome.disk
        return True

    def forget(self, path: str) -> None:
        """The path is planned otherwise."""
        self._shown.pop(path, None)

    def is_same(self, operation: Operation) -> bool:
        """Whether the disk, as it shows the path, has refused that already."""
        if not isinstance(operation, SetMetadata) or operation.path not in self._shown:
            return False
        version, shown = self._shown[operation.path]
        # What the disk says after a change leaves the attributes out.
        expected = operation.expected.with_attributes(None)
        return version == operation.version and self._capabilities.same(expected, shown)

"""Changes of metadata that a disk has done, and yet not as they were asked for: it took the time
and refused the mode, or it says that all is done and shows something else.

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

_SHOWN_OTHERWISE = (
    "this disk shows another mode or time than it was given: its content is right, and it is tried"
    " again"
)


class Refused:
    """Those of one box."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._shown: dict[str, tuple[Version, DiskEntry]] = {}

    def note(self, outcome: Outcome) -> str:
        """What people are told of such a change, which is remembered; empty for any other outcome,
        which ends that."""
        operation, shown = outcome.operation, outcome.disk
        self.forget(operation.path)
        if not isinstance(operation, SetMetadata) or outcome.result is not Result.DONE:
            return ""
        if shown is None:
            return outcome.problem
        is_shown = self._capabilities.shows_metadata(shown, operation.version)
        problem = outcome.problem or ("" if is_shown else _SHOWN_OTHERWISE)
        if problem:
            self._shown[operation.path] = operation.version, shown
        return problem

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

"""Paths that are left alone while what they show is copied elsewhere: it may be nowhere else."""

from __future__ import annotations

from collections.abc import Container, Sequence

from flocksy.boxes.content.staging import Staging
from flocksy.boxes.waiting import Waiting
from flocksy.index.store import BoxIndex
from flocksy.sync.operations import DiskOperation, PutFile
from flocksy.sync.version import Kind


class Deferred:
    """Those of one box, in `paths`: to be planned anew."""

    def __init__(self, index: BoxIndex, staging: Staging, waiting: Waiting) -> None:
        self._index = index
        self._staging = staging
        self._waiting = waiting
        self.paths: dict[str, None] = {}

    def free(self) -> list[str]:
        """Those that nothing is copied from any more."""
        copying = self._staging.copying() if self.paths else frozenset()
        return [path for path in self.paths if not self._is_copied_from(path, copying)]

    def without_sources(self, ready: Sequence[DiskOperation]) -> list[DiskOperation]:
        """What of these can be done now; the paths of the others are deferred."""
        copying = self._staging.copying()
        if not copying:
            return list(ready)
        kept = []
        deferred = {one.path for one in ready if self._is_copied_from(one.path, copying)}
        for operation in ready:
            source = operation.source if isinstance(operation, PutFile) else None
            if operation.path not in deferred and source not in deferred:
                kept.append(operation)
                continue
            self.paths[operation.path] = None
            if isinstance(operation, PutFile) and source is None:
                self._waiting.add(operation.path, operation.version.root)
        return kept

    def _is_copied_from(self, path: str, copying: Container[bytes]) -> bool:
        local = self._index.local(path)
        return local is not None and local.kind is Kind.FILE and local.root in copying

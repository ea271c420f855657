"""Before a batch touches any path: its temporaries, and a first look at every path."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial

from flocksy.boxes.apply.attributes import bring_fresh
from flocksy.boxes.apply.batch import (
    ALL,
    STEP_ERRORS,
    Batch,
    Contents,
    MissingError,
    Result,
    Step,
    guarded,
    is_directory,
    journal_entry,
    wanted_entry,
)
from flocksy.boxes.apply.history import History
from flocksy.boxes.apply.pace import SLICE_S, each
from flocksy.boxes.apply.placing import (
    INCOMING,
    OWN_PREFIX,
    BlockedError,
    ChangedError,
    Placer,
)
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.disk.spelling import Spelling
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation, MakeDirectory, PutFile, PutSymlink, Remove
from flocksy.sync.version import Kind


class Preparer:
    """Prepares the batches of one box."""

    def __init__(
        self, disk: Disk, history: History, contents: Contents, capabilities: Capabilities
    ) -> None:
        self._disk = disk
        self._history = history
        self._contents = contents
        self._capabilities = capabilities
        self._count = 0

    def begin(self, placer: Placer, operations: Sequence[DiskOperation]) -> Batch:
        """The operations as steps that know of each other."""
        batch = Batch()
        folded: dict[str, Step] = {}
        for operation in operations:
            wanted = wanted_entry(operation, attributes=self._capabilities.attributes)
            step = Step(operation, journal_entry(operation, wanted), wanted)
            batch.steps.append(step)
            if isinstance(operation, Remove):
                batch.removals[operation.path] = step
                folded[self._capabilities.folded(operation.path)] = step
            elif isinstance(operation, MakeDirectory):
                batch.directories[operation.path] = step
        for step in batch.steps:
            twin = folded.get(self._capabilities.folded(step.path))
            if twin is None or twin is step or step.operation.expected is not None:
                continue
            if twin.path == step.path or self._finds(placer, step.path):
                step.twin, twin.shadow = twin, step
        return batch

    def _finds(self, placer: Placer, path: str) -> bool:
        """Whether the disk finds anything by that name, which as far as we know is another's. What
        is one letter to us may be two to the disk."""
        try:
            return placer.look(path) is not None
        except OSError:
            return True  # the step fails by itself

    def prepare(self, placer: Placer, batch: Batch) -> Generator[float, None, None]:
        """Make every temporary, and look at every path before anything is touched."""

        def removal(step: Step) -> None:
            placer.check(step.path, step.entry.before)
            self._reserve(step)

        if self._capabilities.respelling:
            spelling = Spelling(self._disk)
            spelt = guarded(lambda step: self._check_spelling(placer, batch, step, spelling))
            yield from each(batch.alive(*ALL), spelt)
        # Removals first: a link made for a rename moves the change time of its source.
        yield from each(batch.alive(Remove), guarded(removal))
        began = time.monotonic()
        for step in batch.alive(PutFile):
            try:
                if step.twin is None:
                    placer.check(step.path, step.entry.before)
                yield from self._stage(placer, batch, step)
            except STEP_ERRORS as error:
                step.fail(error)
            if time.monotonic() - began > SLICE_S:
                yield 0.0
                began = time.monotonic()

        def other(step: Step) -> None:
            if step.twin is None:
                placer.check(step.path, step.entry.before)
            if isinstance(step.operation, PutSymlink):
                text = self._contents.link_text(step.path, step.operation.version)
                if text is None:
                    raise MissingError
                self._own(step)
                self._disk.make_symlink(step.entry.temporary, text)
            else:
                self._make_directory(placer, step)
            self._stamp(placer, step)

        yield from each(batch.alive(MakeDirectory, PutSymlink), guarded(other))

    def _check_spelling(self, placer: Placer, batch: Batch, step: Step, spelling: Spelling) -> None:
        """Whether the path and all above it have the names that they have here, or ones that this
        disk cannot tell from them."""
        unlisted = placer.insist(step.path, partial(spelling.first_unlisted, step.path))
        if unlisted is None:
            return
        maker = step if unlisted == step.path else batch.directories.get(unlisted)
        if step.operation.expected is not None or maker is None:
            placer.check(step.path, step.operation.expected)  # what no scan tells of goes first
            raise ChangedError  # it has another name by now
        if maker.twin is None and placer.look(unlisted) is not None:
            whose = "its name" if maker is step else f"the name of {unlisted}"
            raise BlockedError(
                f"this disk cannot tell {whose} from that of another entry: rename either"
            )

    def _stage(self, placer: Placer, batch: Batch, step: Step) -> Generator[float, None, None]:
        """The temporary of a file."""
        operation = step.operation
        assert isinstance(operation, PutFile)
        assert step.wanted is not None
        if operation.source is not None:
            yield from self._stage_rename(placer, batch, step, operation.source)
        else:
            staged = self._contents.staged(step.path, operation.version)
            if staged is None:
                raise MissingError
            if staged in batch.staged:  # one content for two paths
                self._own(step)
                yield from self._copy(placer, staged, step.entry.temporary)
            else:
                batch.staged.add(staged)
                step.entry = replace(step.entry, temporary=staged)
        if step.source is None:
            self._attribute(step)
            wanted = step.wanted
            if not wanted.mode & 0o400:
                # A file that we must not read we could not flush; its mode follows in the end.
                wanted = replace(wanted, mode=wanted.mode | 0o400)
            placer.dress(step.entry.temporary, None, wanted)
        self._stamp(placer, step)
        if step.entry.after is None or step.entry.after.size != operation.version.size:
            raise MissingError

    def _stage_rename(
        self, placer: Placer, batch: Batch, step: Step, source: str
    ) -> Generator[float, None, None]:
        removal = batch.removals.get(source)
        if removal is None or removal.result is not Result.DONE:
            raise ChangedError
        self._own(step)
        users = batch.users.setdefault(source, [])
        users.append(step)
        # One link at most: two live names of one file would be edited together.
        linking = partial(self._disk.link, source, step.entry.temporary)
        if len(users) == 1 and placer.insist(source, linking):
            step.source = source
            if self._capabilities.attributes and removal.entry.before is not None:
                step.brought = removal.entry.before.attributes
        else:
            yield from self._copy(placer, source, step.entry.temporary)
        if not placer.same(placer.look(source), removal.entry.before):
            raise ChangedError

    def _copy(self, placer: Placer, source: str, target: str) -> Generator[float, None, None]:
        def begin() -> Iterator[None]:
            copying = self._disk.copy(source, target)
            next(copying, None)  # the source is open then
            return copying

        copying = placer.insist(source, begin)
        yield 0.0
        for _ in copying:
            yield 0.0

    def _attribute(self, step: Step) -> None:
        """Extended attributes of a temporary that is a file of its own."""
        wanted = step.wanted.attributes if step.wanted is not None else None
        if wanted is not None and bring_fresh(self._disk, step.entry.temporary, wanted):
            step.brought = wanted

    def _make_directory(self, placer: Placer, step: Step) -> None:
        before = step.entry.before
        if before is not None and before.kind is Kind.DIRECTORY:
            return  # it is there; its mode follows
        self._own(step)
        if step.twin is not None and is_directory(step.twin.entry.before):
            return  # it will be moved
        assert step.wanted is not None
        self._disk.make_directory(step.entry.temporary, 0o700)
        # Closed to ourselves it would be of no use for what comes into it; its mode follows too.
        placer.dress(
            step.entry.temporary, None, replace(step.wanted, mode=step.wanted.mode | 0o700)
        )

    def _reserve(self, step: Step) -> None:
        """A place in the history for what stands at the path."""
        before = step.entry.before
        if before is not None and before.kind is not Kind.DIRECTORY:
            step.entry = replace(step.entry, kept_as=self._history.reserve(step.path))

    def _own(self, step: Step) -> None:
        self._count += 1
        step.own = True
        step.entry = replace(step.entry, temporary=f"{INCOMING}/{OWN_PREFIX}{self._count}")

    def _stamp(self, placer: Placer, step: Step) -> None:
        """Note by what the new entry will be known again."""
        at = step.entry.temporary or step.path
        if step.twin is not None and placer.look(at) is None:
            at = step.twin.path
        found = placer.look(at)
        if found is None or found.kind is None or step.wanted is None:
            raise ChangedError
        after = found.entry(step.wanted.root).with_attributes(step.brought)
        step.entry = replace(step.entry, after=after)
        self._reserve(step)

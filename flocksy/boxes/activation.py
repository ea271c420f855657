"""From a configured path to an open box, or to the reason why it must rest.

The order matters: look at the marker before anything is believed of the disk, finish what a crash
left before anything is scanned, and watch before scanning, so that no change falls in between.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.apply.attributes import ATTRIBUTES, NO_ATTRIBUTES
from flocksy.boxes.apply.history import History
from flocksy.boxes.apply.journal import IndexJournal
from flocksy.boxes.apply.placing import INCOMING, SCRATCH
from flocksy.boxes.apply.probe import probe
from flocksy.boxes.content.reader import ChunkReader
from flocksy.boxes.content.scratch import Scratch
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk import marker
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE, Disk
from flocksy.boxes.guard import MET
from flocksy.boxes.scan.following import FollowingDisk
from flocksy.boxes.scan.links import LINKS, SINCE, Links
from flocksy.boxes.scan.watcher import Watcher
from flocksy.boxes.setup import BoxSetup, Mode, change_words
from flocksy.errors import BoxError, FlocksyError, IndexDamaged
from flocksy.index.database import note_damage
from flocksy.index.journal import HISTORY
from flocksy.index.renewal import renew
from flocksy.index.store import BoxIndex
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.version import Kind, Version

MODE = "mode"
"""Name under which the index remembers the mode that the box was opened in."""

ADOPT = "adopt"
"""Name under which the index remembers that the disk is still to be adopted."""


class BoxPausedError(FlocksyError):
    """The box rests until its cause goes, or until a command. The text says which."""


@dataclass(slots=True)
class Opened:
    """Everything an open box holds on to."""

    index: BoxIndex
    disk: RealDisk | FollowingDisk
    links: Links | None
    """Those made on this disk, where they are followed."""
    capabilities: Capabilities
    history: History
    applier: Applier
    staging: Staging
    scratch: Scratch
    reader: ChunkReader
    watcher: Watcher
    words: tuple[str, ...]
    """What people should be told about the opening."""
    unwatched: str | None
    """Why there are no events of the box, or not of all directories, in one line."""
    lacks: str
    """What the disk has not got although it is wanted, in one line; empty for nothing."""

    @property
    def adopting(self) -> bool:
        """Whether the disk is of unknown past and not adopted yet, also across restarts."""
        return self.index.remembered(ADOPT) is not None

    def adopted(self) -> None:
        """Every path has been looked at: from now on absence is a deletion."""
        with self.index.transaction(durable=True):
            self.index.remember(ADOPT, None)

    def close(self) -> None:
        """Let go of disk and index: of each, whatever another raises."""
        with ExitStack() as last_first:
            last_first.callback(self.disk.close)
            last_first.callback(self.index.close)
            last_first.callback(self.scratch.close)
            last_first.callback(self.staging.close)
            last_first.callback(self.reader.close)
            last_first.callback(self.watcher.stop)


@dataclass(slots=True)
class _Contents:
    """Where the applier finds new contents."""

    index: BoxIndex
    staging: Staging

    def staged(self, path: str, version: Version) -> str | None:
        return self.staging.staged(path, version.root)

    def link_text(self, _: str, version: Version) -> str | None:
        text = self.index.contents.blob(version.root)
        return None if text is None else os.fsdecode(text)


def open_box(
    setup: BoxSetup,
    now_ms: Callable[[], int],
    wake: Callable[[], None],
    *,
    adopt: bool = False,
    agreed: bool = False,
) -> Opened:
    """Open a box. `adopt`: the user says that what is there is to be taken as it is; `agreed`: that
    its mode may be another than before, and no more than that.

    Raises `BoxPausedError` where it has to rest, `BoxError` where the path cannot be a box.
    """
    words: list[str] = []
    disk = RealDisk(setup.path)
    try:
        index = _open_index(setup, disk, words, now_ms)
        try:
            if (reason := _no_folder_of_ours(disk, setup)) is not None:
                raise BoxPausedError(reason)
            found = marker.look(
                disk, setup.name, setup.path, setup.box_id, index, removable=setup.removable
            )
            if found.pauses and not adopt:
                raise BoxPausedError(found.message)
            former = _mode(setup, index)
            if former is not setup.mode and not adopt and not agreed:
                raise BoxPausedError(
                    f"box {setup.name}: its mode was {former} and is {setup.mode} in the"
                    f" configuration now: {change_words(former, setup.mode)} If that is meant:"
                    f" flocksy box adopt {shlex.quote(setup.name)}"
                )
            if found.message and found.adopts:
                words.append(found.message)
            unknown = found.adopts or adopt or former is not setup.mode
            if unknown or _forgets_links(setup, index):
                with index.transaction(durable=True):
                    index.remember(ADOPT, b"1")
                    if unknown and found.state is not marker.MarkerState.FRESH:
                        index.remember(SINCE, time.time_ns().to_bytes(8, "big"))
                    if not setup.follow_symlinks:
                        index.remember(LINKS, None)
                    index.remember(MODE, setup.mode.encode("ascii"))
                    if adopt:
                        index.remember(MET, b"1")  # nobody has to be asked once more
            return _open_rest(setup, disk, index, words, now_ms, wake, adopt)
        except BaseException:
            index.close()
            raise
    except OSError as error:
        disk.close()
        raise _unusable(setup, setup.path, error) from error
    except BaseException:
        disk.close()
        raise


def forget_past(index_path: Path) -> None:
    """The box of this index is kept no more: should it be opened again, its disk is of unknown past
    and adopted. Raises `IndexDamaged`."""
    index = BoxIndex.open(index_path)
    try:
        _forget_past(index)
    finally:
        index.close()


def _forget_past(index: BoxIndex) -> None:
    if index.remembered(ADOPT) is None:
        with index.transaction(durable=True):
            index.remember(ADOPT, b"1")
            index.remember(SINCE, time.time_ns().to_bytes(8, "big"))


def is_of_known_past(setup: BoxSetup, index: BoxIndex) -> bool:
    """Whether what the index knows of the disk is to be believed when the box is opened next: it is
    not to be adopted, nor is its mode another one now."""
    return index.remembered(ADOPT) is None and _mode(setup, index) is setup.mode


def _forgets_links(setup: BoxSetup, index: BoxIndex) -> bool:
    """Whether links were followed, and are not any more: then what the index knows of this disk
    speaks of something else than what is looked at from now on."""
    return not setup.follow_symlinks and index.remembered(LINKS) is not None


def _no_folder_of_ours(disk: Disk, setup: BoxSetup) -> str | None:
    """Why the box has to rest: something stands where a directory of ours is to be. Nothing is ever
    written through a link, so that each path would fail, with words that lead nobody to the cause.
    Raises `OSError`."""
    for folder in (PRIVATE, INCOMING, SCRATCH, HISTORY):
        found = disk.stat(folder)
        if found is not None and found.kind is not Kind.DIRECTORY:
            what = "a symbolic link" if found.kind is Kind.SYMLINK else "no directory"
            return (
                f"box {setup.name}: {setup.path}/{folder} is {what}, and has to be a directory of"
                " its own: remove it, and put back what was there; the box goes on by itself"
            )
    return None


def _mode(setup: BoxSetup, index: BoxIndex) -> Mode:
    """The mode that the index knows this box in; a new box is in whichever it is opened in."""
    known = index.remembered_as(MODE, lambda name: Mode(name.decode("ascii")))
    if known is not None:
        return known
    return setup.mode if index.remembered("secret") is None else Mode.SYNC


def _open_index(
    setup: BoxSetup, disk: Disk, words: list[str], now_ms: Callable[[], int]
) -> BoxIndex:
    path = Path(setup.index_path)
    try:
        with _blaming_index(setup):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return BoxIndex.open(path, now_ms)
    except IndexDamaged as error:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        known = _known_without_index(setup, disk)
        with _blaming_index(setup):
            aside = renew(path, stamp, known)
        words.append(f"box {setup.name}: {error}; it was set aside as {aside}, and is made anew")
        return BoxIndex.open(path, now_ms)


@contextmanager
def _blaming_index(setup: BoxSetup) -> Iterator[None]:
    """The index is on another disk than the box, as a rule."""
    try:
        yield
    except OSError as error:
        raise _unusable(setup, f"its index {setup.index_path}", error) from error


def _unusable(setup: BoxSetup, what: str, error: OSError) -> BoxPausedError:
    return BoxPausedError(
        f"box {setup.name}: {what} cannot be used: {error.strerror or error}; "
        "it goes on by itself when that is mended"
    )


def _known_without_index(setup: BoxSetup, disk: Disk) -> dict[str, bytes]:
    """What a new index begins with: the marker that is here now was that of the damaged one, and
    the disk, of unknown past now, has met the flock. Another disk that comes later is none. Where
    there is no marker, the one that there was is nobody's: what is here is not the box, unasked."""
    known = marker.claims(disk, setup.path, setup.box_id) or marker.lost()
    known |= {ADOPT: b"1", MET: b"1", MODE: setup.mode.encode("ascii")}
    known[SINCE] = time.time_ns().to_bytes(8, "big")
    return known


def _look_at_attributes_anew(index: BoxIndex, capabilities: Capabilities) -> None:
    """While nobody asked for them programs that know none may have saved files without: when it
    begins again, nothing that is missing was taken away."""
    if (index.remembered(ATTRIBUTES) is not None) != capabilities.attributes:
        with index.transaction(durable=True):
            index.forget_attributes()
            index.remember(ATTRIBUTES, b"1" if capabilities.attributes else None)


def _open_rest(
    setup: BoxSetup,
    box: RealDisk,
    index: BoxIndex,
    words: list[str],
    now_ms: Callable[[], int],
    wake: Callable[[], None],
    adopt: bool,
) -> Opened:
    marker.activate(box, setup.box_id, index, adopt=adopt)
    links = None
    disk: RealDisk | FollowingDisk = box
    if setup.follow_symlinks:
        links = Links(index, setup.path, (setup.index_path, *setup.private))
        disk = FollowingDisk(box, links)
    capabilities = probe(disk, attributes=setup.attributes)
    _look_at_attributes_anew(index, capabilities)
    secret = index.remembered("secret")
    assert secret is not None  # the marker has been made or found by now
    history = History(
        disk,
        now_ms,
        cap_bytes=setup.history_bytes or None,
        cap_percent=setup.history_percent,
        longest_name=capabilities.names.max_bytes,
        secret=secret,
    )
    staging = Staging(disk, index.contents)
    applier = Applier(
        disk,
        IndexJournal(index),
        history,
        _Contents(index, staging),
        capabilities,
        ignore_symlinks=setup.ignore_symlinks,
    )
    try:
        for _ in applier.recover():
            pass
    except IndexDamaged:
        note_damage(Path(setup.index_path))  # the next opening sets it aside
        raise
    watcher = Watcher(setup.path, wake)
    why_not = watcher.start()
    if why_not is not None:
        words.append(f"box {setup.name}: {why_not}")
    return Opened(
        index=index,
        disk=disk,
        links=links,
        capabilities=capabilities,
        history=history,
        applier=applier,
        staging=staging,
        scratch=Scratch(disk, index.contents),
        reader=ChunkReader(disk, index.contents),
        watcher=watcher,
        words=tuple(words),
        unwatched=why_not,
        lacks=NO_ATTRIBUTES if setup.attributes and not capabilities.attributes else "",
    )


def still_ours(disk: Disk, setup: BoxSetup, index: BoxIndex) -> str | None:
    """Why an open box has to rest now (its drive is gone, its marker too), or None.

    `disk` is the folder that was opened, and what others look at is the one at the path. Where that
    is another one by now, a copy with the same marker, the index remembers that it is of unknown
    past: what was written meanwhile may be in the other one."""
    try:
        if not os.path.isdir(setup.path):
            return f"box {setup.name}: {setup.path} is gone; nothing is deleted meanwhile"
        fresh = RealDisk(setup.path)
    except BoxError as error:
        return str(error)
    with fresh:
        try:
            if (reason := _no_folder_of_ours(fresh, setup)) is not None:
                return reason
            found = marker.look(fresh, setup.name, setup.path, setup.box_id, index)
            if found.pauses or found.adopts:
                return found.message or f"box {setup.name}: {setup.path} has lost its marker"
            with suppress(OSError):
                if fresh.identity() != disk.identity():
                    return f"box {setup.name}: {setup.path} is on another file system now"
            if _directory(fresh) != _directory(disk):
                _forget_past(index)
                return (
                    f"box {setup.name}: another folder has taken the place of {setup.path}: it is"
                    " adopted, and nothing that it lacks counts as deleted"
                )
        except (OSError, BoxError) as error:
            return f"box {setup.name}: {setup.path}: {error}"
    return None


def _directory(disk: Disk) -> tuple[int, int]:
    """What tells the folder from others while it is open, on any file system: nothing gets its
    number as long as there is a handle of it."""
    found = disk.stat("")
    assert found is not None  # by the handle
    return found.device, found.inode


def renew_marker(disk: Disk, setup: BoxSetup, index: BoxIndex) -> bool:
    """Renew the marker of an open box, so that what has been copied of it until now is an older
    copy when it is put back. To be called now and then, and at the end.

    Whether that was done; where not (the disk is full, gone, another one) it is to be tried again.
    Raises `IndexDamaged`.
    """
    try:
        if still_ours(disk, setup, index) is not None:
            return False
        marker.activate(disk, setup.box_id, index)
    except IndexDamaged:
        raise
    except (OSError, FlocksyError):
        return False
    return True

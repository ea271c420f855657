"""Which paths of an open box are this disk's business, and what may be done there.

Four questions meet here: what was chosen and is not ignored (`flocksy.sync.holding`), what can be
looked at just now (`mounts`), what this disk can hold, and what the box's mode allows. What is not
held is neither read nor written, and its absence is never a deletion.

*A new choice.* Whoever edits `.flockignore`, here or elsewhere, or chooses other folders, moves
paths out and in. Of a path that is not held any more the index forgets what this disk held, page by
page, before anything else is done. So a path that is held again is of unknown past and is adopted,
path by path (`Box._commit`), whatever happened to it meanwhile.

What this node alone has, and has not said yet, is the exception. In a folder that is not chosen any
more it goes on to be found where it was seen last: nobody else could serve it. Its past is unknown
all the same. What is ignored is not said at all, unless a copy shows that others changed it too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping

from flocksy.boxes.activation import Opened, still_ours
from flocksy.boxes.disk.mounts import SEND_ONLY as MOUNTED
from flocksy.boxes.disk.mounts import Mounts
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.disk.spelling import Spelling
from flocksy.boxes.offers import Offers
from flocksy.boxes.scan.following import stat_shown
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.boxes.unread import Unread
from flocksy.sync.holding import Choice
from flocksy.sync.ignore import IGNORE_FILE, MAX_IGNORE_BYTES
from flocksy.sync.version import Kind
from flocksy.sync.view import View
from flocksy.system import files

CHOICE = "choice"
"""Name under which the index remembers the choice that is in force."""

CHOOSING = "choosing"
"""Name under which it remembers the one that is coming into force."""

PATHS_PER_TURN = 500
"""Paths looked at in one go when the choice moves: some milliseconds."""

MOUNTS_SECONDS = 1.0
"""Between two looks at what is mounted, when nothing depends on it."""

LISTING_SECONDS = 1.0
"""Between two looks how `.flockignore` is called while other names come and go beside it: each
lists the whole directory."""

NOT_HELD = ""
"""The reason that goes without saying: a person chose so. `flocksy ignored` explains it."""

_OTHERS = "others changed it, and this box is send-only here"


class Held:
    """See the head of this module."""

    def __init__(self, setup: BoxSetup, opened: Opened, offers: Offers) -> None:
        self._setup = setup
        self._offers = offers
        self._index = index = opened.index
        self._disk = opened.disk
        self._capabilities = opened.capabilities
        self._links = opened.links
        self._mounts = Mounts(index, setup.path, adopting=opened.adopting)
        self._in_force = index.remembered_as(CHOICE, _choice) or Choice()
        self.choice = Choice(setup.folders, self._in_force.ignore.text)
        """What is held; in force once `moving` has ended."""
        self._former = index.remembered_as(CHOOSING, _choice) or Choice()
        self.takes_ignore_file = opened.adopting
        """Whether what the flock ignores is to be known first, also where others change nothing."""
        self._seen: Stat | None = None
        self._misspelt: Stat | None = None
        self._top: Stat | None = None
        self._listed_at = -LISTING_SECONDS
        self._list_at: float | None = None
        self._looked = False
        self._mounts_at = 0.0
        self._trouble: str | None = None
        self._unread = Unread()
        self._after: str | None = None
        self.moving = False
        """Whether the choice has moved, and `move` is to be called until it has not."""
        self.look()
        if self.choice != self._in_force or index.remembered(CHOOSING) is not None:
            self._begin()

    # -- answers --------------------------------------------------------------------------------

    def why_not(self, path: str) -> str | None:
        """Why nothing is concluded from what the disk shows at `path`, or None (`sync.Held`)."""
        if self._mounts.is_detached(path) or not self.holds(path):
            return NOT_HELD
        return None

    def why_not_put(self, path: str) -> str | None:
        """Why nothing is written at `path`, or None (`sync.Held`)."""
        reason = self.why_not(path)
        if reason is None:
            reason = self._capabilities.names.why_not(path)
        if reason is None and self._links is not None:
            reason = self._links.held(path)
        if reason is None and self._mounts.is_below(path):
            reason = MOUNTED
        is_first = path == IGNORE_FILE and self.takes_ignore_file
        if reason is None and self._setup.mode is Mode.SEND_ONLY and not is_first:
            reason = _OTHERS
        return reason

    def sends_only(self, path: str) -> bool:
        """Whether what is made here takes the place of all that is known (`sync.SendsOnly`)."""
        if self._setup.mode is Mode.SEND_ONLY or self._mounts.is_below(path):
            return True
        return self._links is not None and self._links.sends_only(path)

    def holds(self, path: str) -> bool:
        """Whether `path` is chosen and not ignored."""
        return self.choice.is_selected(path) and not self._is_ignored(path)

    def why_ignored(self, path: str, is_directory: bool) -> str | None:
        """Why `path` is not looked at if it is a directory, or if it is none; or None."""
        return self.choice.explain(path, is_directory=is_directory)

    def explain(self, path: str) -> str | None:
        """Why this node does not sync `path`, in words that follow its name; None if it does."""
        for directory, reason in self._mounts.detached.items():
            if path == directory or path.startswith(directory + "/"):
                return f"waits: {directory} {reason}"
        found = self.choice.explain(path, is_directory=self._is_directory(path))
        return found or self.why_not_put(path)

    @property
    def problems(self) -> Mapping[str, str]:
        """Paths that something is wrong with, and what."""
        problems = dict(self._mounts.detached)
        said = [self._trouble] if self._trouble else list(self.choice.ignore.problems)
        if said:
            problems[IGNORE_FILE] = "; ".join(said[:3])
        return problems

    def _is_ignored(self, path: str) -> bool:
        is_directory = self.choice.depends_on_kind(path) and self._is_directory(path)
        return self.choice.ignored(path, is_directory=is_directory) is not None

    def _is_directory(self, path: str) -> bool:
        local = self._index.local(path)
        if local is not None:
            return local.kind is Kind.DIRECTORY
        if self._index.flock_below(path):
            return True
        state = self._index.flock(path)
        return state is not None and any(
            head.kind is Kind.DIRECTORY for head in state.heads.values()
        )

    # -- what moves -----------------------------------------------------------------------------

    def look(self, now: float = 0.0, *, sure: bool = False) -> bool:
        """Look at `.flockignore` and, now and then or when one has to be `sure`, at what is
        mounted. Whether the box is to be watched and scanned anew. Not while `moving`."""
        moved = False
        if sure or now >= self._mounts_at:
            self._mounts_at = now + MOUNTS_SECONDS
            moved = self._mounts.look()
        text = self._look_at_file(now)
        if text is not None and text != self.choice.ignore.text:
            self.choice = Choice(self._setup.folders, text)
            if self.choice != self._in_force:
                self._begin()
        return moved

    def next(self) -> float | None:
        """When to `look` again although nothing has happened: `.flockignore` could not be read, or
        how it is called was asked a moment ago."""
        deadlines = (self._unread.deadline(), self._list_at)
        return min((when for when in deadlines if when is not None), default=None)

    def move(self) -> bool:
        """Forget some of what is held no more. Whether that is done, and the box can go on."""
        paths = self._index.known_paths(self._after, PATHS_PER_TURN)
        with self._index.transaction():
            for path in paths:
                is_held = self.holds(path)
                if not path or (is_held and self._former_holds(path)):
                    continue
                if self._is_ignored(path) and not self._index.copies_of(path):
                    self._offers.unsay(path)
                if not is_held and self._index.local(path) is None:
                    self._offers.unsay_lost((path,))
                if self._index.synced(path) is not None:
                    self._index.set_synced(path, None)
                if self._index.local(path) is not None and (is_held or not self._offers.owes(path)):
                    self._index.set_local(path, None)
            if paths:
                self._after = paths[-1]
                return False
            self._index.remember(CHOICE, _plain(self.choice))
            self._index.remember(CHOOSING, None)
        self._in_force = self._former = self.choice
        self.moving = False
        return True

    def held_of(self, changed: Collection[str]) -> list[str]:
        """Those of the paths that are held. What of the others was to be said and is another by now
        is said no more: nobody looks what has become of it."""
        held = [path for path in changed if self.holds(path)]
        others = set(changed).difference(held)
        if others and not still_ours(self._disk, self._setup, self._index):
            with self._index.transaction():
                for path in filter(self._is_another, others):
                    self._index.set_local(path, None)
                    self._offers.unsay(path)
        return held

    def _is_another(self, path: str) -> bool:
        """Whether the disk shows for certain that what was seen there is gone, and nothing else
        shows it: a look that fails says nothing, nor does one that is refused."""
        local = self._index.local(path)
        if local is None or self._index.copies_of(path):
            return False
        try:
            found = stat_shown(self._disk, path)
        except OSError:
            return False
        return found is None or (found.size, found.mtime_ns) != (local.size, local.mtime_ns)

    def _begin(self) -> None:
        self.moving, self._after = True, None
        with self._index.transaction():
            if self._index.remembered(CHOOSING) is None:
                self._former = self.choice
                self._index.remember(CHOOSING, _plain(self.choice))

    def _former_holds(self, path: str) -> bool:
        """As `holds`, for a choice that was coming into force when an earlier run ended."""
        if self._former == self.choice:
            return True
        return self._former.holds(path, is_directory=self._is_directory(path))

    def _is_missed(self) -> bool:
        """Whether `.flockignore`, absent here, still lives in the flock: its deletion waits for a
        word or for its turn, or it is on its way. Not asked where only is received: a deletion made
        here never gets to the flock."""
        if self._setup.mode.receives_only:
            return False
        return View(self._index).wanted(IGNORE_FILE).version is not None

    def _look_at_file(self, now: float) -> str | None:
        """The text of `.flockignore` if it is another file than at the last look. What cannot be
        read changes nothing, nor does an absence that the flock does not know of: what it said
        before stays in force."""
        self._unread.due(now)
        try:
            text = self._read(now)
        except OSError as error:
            self._trouble = (
                f"cannot be read: {error.strerror or error}; what it said before stays in force"
            )
            self._unread.failed(IGNORE_FILE, now)
            return None
        self._unread.forget(IGNORE_FILE)
        return text

    def _find(self, now: float) -> Stat | None:
        """What stands at `.flockignore` by that very name: a disk that folds names finds a
        `.FlockIgnore` too, which is any file to the others."""
        found = self._disk.stat(IGNORE_FILE)
        if found is None or not self._capabilities.respelling:
            return found
        # A rename leaves the file as it was, but not the directory.
        top, is_another = self._disk.stat(""), found not in (self._seen, self._misspelt)
        self._list_at = self._listed_at + LISTING_SECONDS if top != self._top else None
        if is_another or (self._list_at is not None and self._list_at <= now):
            is_misspelt = not Spelling(self._disk).lists(IGNORE_FILE)
            self._top, self._misspelt = top, found if is_misspelt else None
            self._listed_at, self._list_at = now, None
        return None if found == self._misspelt else found

    def _read(self, now: float) -> str | None:
        found = self._find(now)
        if found == self._seen and self._looked and self._trouble is None:
            return None
        if found is None:
            self._seen, self._looked, self._trouble = None, False, None
            if self._is_missed():
                return None
            self._looked = True
            return ""
        if found.kind is not Kind.FILE:
            self._trouble = "is no file; what it said before stays in force"
            return None
        if found.size > MAX_IGNORE_BYTES:
            self._trouble = (
                f"is larger than {MAX_IGNORE_BYTES >> 10} KiB; what it said before stays in force"
            )
            return None
        descriptor = self._disk.open_read(IGNORE_FILE)
        try:
            data = files.read_at(descriptor, found.size, 0)
        finally:
            os.close(descriptor)
        if self._disk.stat(IGNORE_FILE) != found or len(data) != found.size:
            return None  # being written: there is another look
        self._seen, self._looked, self._trouble = found, True, None
        return data.decode("utf-8", "surrogateescape")


def _plain(choice: Choice) -> bytes:
    return json.dumps({"folders": choice.folders, "ignore": choice.ignore.text}).encode("ascii")


def _choice(remembered: bytes) -> Choice:
    plain = json.loads(remembered)
    folders, ignore = plain["folders"], plain["ignore"]
    if not isinstance(folders, list) or not all(isinstance(one, str) for one in (*folders, ignore)):
        raise ValueError("no choice")
    return Choice(folders, ignore)

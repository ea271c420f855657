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
from collections.abc import Collection, Mapping

from flocksy.boxes.activation import Opened, still_ours
from flocksy.boxes.disk.mounts import SEND_ONLY as MOUNTED
from flocksy.boxes.disk.mounts import Mounts
from flocksy.boxes.ignore_file import IgnoreFile
from flocksy.boxes.offers import Offers
from flocksy.boxes.scan.following import stat_shown
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.sync.holding import Choice
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.sync.version import Kind

CHOICE = "choice"
"""Name under which the index remembers the choice that is in force."""

CHOOSING = "choosing"
"""Name under which it remembers the one that is coming into force."""

PATHS_PER_TURN = 500
"""Paths looked at in one go when the choice moves: some milliseconds."""

MOUNTS_SECONDS = 1.0
"""Between two looks at what is mounted, when nothing depends on it."""

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
        self._former = index.remembered_as(CHOOSING, _choice) or Choice()
        texts = (*self._in_force.texts, *self._former.texts)
        self._file = IgnoreFile(setup, opened, texts)
        self.choice = Choice(setup.folders, self._file.texts)
        """What is held; in force once `moving` has ended."""
        self.takes_ignore_file = opened.adopting
        """Whether what the flock ignores is to be known first, also where others change nothing."""
        self._mounts_at = 0.0
        self._after: str | None = None
        self.moving = False
        """Whether the choice has moved, and `move` is to be called until it has not."""
        self._mounts.look()
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

    def is_recorded(self, path: str) -> bool:
        """Whether what changes at `path` becomes a version, in place of the one before."""
        return not self._setup.mode.receives_only and self.why_not(path) is None

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
        is_directory = self._is_directory(path)
        found = self.choice.explain(path, is_directory=is_directory)
        if found is None:
            return self.why_not_put(path)
        if self.choice.is_selected(path):
            found += self._file.why_still(path, is_directory=is_directory)
        return found

    def unripe(self, path: str) -> float | None:
        """Until when a change at the path is not to be recorded, or None; see `IgnoreFile`."""
        return self._file.unripe() if path == IGNORE_FILE else None

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what is left out, and nothing may be told of what is here."""
        return self._file.is_unknown

    @property
    def settled(self) -> bool:
        """Whether what is held does not move, nor will when time has passed."""
        return not self.moving and self._file.settled

    @property
    def problems(self) -> Mapping[str, str]:
        """Paths that something is wrong with, and what."""
        problems = dict(self._mounts.detached)
        said = self._file.problems
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
        if self._file.look(now):
            self._take_texts()
        return moved

    def next(self) -> float | None:
        """When to `look` again although nothing has happened."""
        return self._file.next()

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

    def _take_texts(self) -> None:
        choice = Choice(self._setup.folders, self._file.texts)
        if choice != self.choice:
            self.choice = choice
            if choice != self._in_force:
                self._begin()

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


def _plain(choice: Choice) -> bytes:
    return json.dumps({"folders": choice.folders, "ignore": choice.texts}).encode("ascii")


def _choice(remembered: bytes) -> Choice:
    plain = json.loads(remembered)
    folders, texts = plain["folders"], plain["ignore"]
    texts = [texts] if isinstance(texts, str) else texts  # as it was written before
    if not isinstance(folders, list) or not isinstance(texts, list):
        raise ValueError("no choice")
    if not all(isinstance(one, str) for one in (*folders, *texts)):
        raise ValueError("no choice")
    return Choice(folders, texts)

"""`.flockignore` and its conflict copies on one disk: what they say, and what of it is in force.

What any of them leaves out is left out, until a person has decided which lines are meant. What the
file takes back in counts when it has stood for a while (`flocksy.sync.in_force`). What is not here
yet, or cannot be read, may say anything: until it can be read, nothing is taken back in.

Nor is anybody told of a new text before it counts (`unripe`): the others would go by it. One that
was brought here counts at once, for who made it has waited.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

from flocksy.boxes.activation import Opened
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.disk.spelling import Spelling
from flocksy.boxes.ignore_copies import ignore_copies
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.boxes.unread import Unread
from flocksy.sync.ignore import IGNORE_FILE, MAX_IGNORE_BYTES, Ignore
from flocksy.sync.in_force import TextsInForce
from flocksy.sync.version import Kind
from flocksy.sync.view import View
from flocksy.system import files

LOOK_SECONDS = 1.0
"""Between two looks whether all is here that something waits for."""

LISTING_SECONDS = 1.0
"""Between two looks how `.flockignore` is called while other names come and go beside it: each
lists the whole directory."""


UNREAD = "unread ignore file"
"""Name under which the index remembers what stood there that cannot be read, and all was shared
under: it was made while the box was open, and leaves nothing out after a restart, either."""


class IgnoreFile:
    """Those of one open box. `look` again and again; then `texts` are in force."""

    def __init__(self, setup: BoxSetup, opened: Opened, texts: Iterable[str]) -> None:
        """`texts`: those that were in force when the box was closed."""
        self._mode = setup.mode
        self._index = opened.index
        self._disk = opened.disk
        self._capabilities = opened.capabilities
        self._texts = TextsInForce(texts)
        self._rules: Ignore | None = None  # what stands there says; None: nothing does
        self._copies: dict[str, str | None] = {}  # None: not here yet
        self._read_copies: dict[bytes, str] = {}
        self._awaited: dict[str, bytes] = {}  # copies that were not here at the last look
        self._stood = self._shown()
        self._seen: Stat | None = None
        self._misspelt: Stat | None = None
        self._top: Stat | None = None
        self._listed_at = -LISTING_SECONDS
        self._list_at: float | None = None
        self._looked = False
        self._trouble: str | None = None
        self._found: Stat | None = None
        self._shared_under = opened.index.remembered(UNREAD)
        self._unread = Unread()
        self._now = 0.0
        self._weigh_at: float | None = None
        self.ripe_at: float | None = None
        """When what is taken back in counts, if all stays as it is; None: nothing waits for that.
        Infinite before the first look after the box was opened."""
        self._look_at_file(0.0)
        self._weigh(None)

    @property
    def texts(self) -> tuple[str, ...]:
        """What each of these leaves out is left out."""
        return self._texts.texts

    def look(self, now: float) -> bool:
        """Look at the file and its copies. Whether `texts` are others now."""
        before = self.texts
        self._look_at_file(now)
        self._weigh(now)
        return self.texts != before

    def next(self) -> float | None:
        """When to `look` again although nothing has happened: the file could not be read, or how it
        is called was asked a moment ago, or what it says has stood for long enough then."""
        copies_at = self._now + LOOK_SECONDS if self._has_come() else None
        deadlines = (self._unread.deadline(), self._list_at, self._weigh_at, copies_at)
        return min((when for when in deadlines if when is not None), default=None)

    def unripe(self) -> float | None:
        """Until when what stands there, or that nothing does, is not to be recorded, or None.

        With no node running no time passes. An absence is recorded all the same then, since that is
        only done where a person has just said so."""
        if self._texts.stands_at is None and self._seen is None:
            return None
        return self.ripe_at

    @property
    def settled(self) -> bool:
        """Whether what is in force stays so, however much time passes."""
        return (
            not self._has_come()
            and self.ripe_at is None
            and not (self._texts.waits and self._may_count())
        )

    @property
    def is_unknown(self) -> bool:
        """Whether something stands there, in a folder that begins with it, that nobody here has
        been able to read yet: it may leave out anything, so nothing of the box is told before."""
        if self._looked or self.texts or self._mode.receives_only:
            return False
        return self._trouble is None or _as_remembered(self._found) != self._shared_under

    @property
    def problems(self) -> list[str]:
        """What is wrong with it, and why more is left out than what stands there says."""
        lines = self._rules.problems if self._rules is not None and not self._trouble else ()
        return [*self._reasons(), *lines]

    def why_still(self, path: str, *, is_directory: bool) -> str:
        """Words that follow why the path is left out, where what stands there does not say so."""
        if self._rules is not None and self._rules.match(path, is_directory=is_directory):
            return ""
        return f", not as it stands now: {'; '.join(self._reasons()) or 'its deletion waits'}"

    def _reasons(self) -> list[str]:
        said = [self._trouble] if self._trouble else []
        if self.is_unknown:
            said.append("nothing made here is shared before it can be read, or is removed")
        if self.ripe_at is not None:
            wait_s = 0 if self.ripe_at == math.inf else round(self.ripe_at - self._now)
            said.append(
                f"what it takes back in counts in about {max(1, wait_s)} s, if it stays as it is"
            )
        if self._copies:
            said.append(
                f"is in conflict: what {' or '.join(sorted(self._copies))} leaves out is left out"
                " as well, until you put the lines that you want into one and delete the copy"
            )
        return said

    def _has_come(self) -> bool:
        """Whether a copy is here by now that was not at the last look."""
        found = ((self._index.local(path), root) for path, root in self._awaited.items())
        return any(local is not None and local.root == root for local, root in found)

    # -- which of it counts ---------------------------------------------------------------------

    def _weigh(self, now: float | None) -> None:
        """See which texts leave out by now. `now` None: when the box is opened."""
        self._look_at_copies()
        self._now = now or 0.0
        if not self._looked:
            return
        copies = [text for _, text in sorted(self._copies.items()) if text is not None]
        self._texts.want(copies if self._rules is None else [self._rules.text, *copies], now)
        self.ripe_at = self._weigh_at = None
        if not self._texts.waits:
            self._stood = self._shown()
            return
        stands_at = self._texts.stands_at
        is_ripe = now is not None and stands_at is not None and now >= stands_at
        if (is_ripe or self._is_brought()) and self._may_count():
            self._texts.settle()
            self._stood = self._shown()
        elif is_ripe:
            self._weigh_at = self._now + LOOK_SECONDS
        else:
            self._weigh_at = stands_at
            self.ripe_at = math.inf if stands_at is None else stands_at

    def _may_count(self) -> bool:
        """Whether all is known that has a say, and no deletion waits."""
        knows_all = self._trouble is None and None not in self._copies.values()
        return knows_all and not self._is_missed()

    def _is_missed(self) -> bool:
        """Whether `.flockignore`, absent here, still lives in the flock: its deletion waits for a
        word or for its turn, or it is on its way. Not asked where only is received: a deletion made
        here never gets to the flock."""
        if self._rules is not None or self._mode.receives_only:
            return False
        return View(self._index).wanted(IGNORE_FILE).version is not None

    def _is_brought(self) -> bool:
        """Whether what stands there was brought here by the flock after what stood before."""
        local, found, shown = self._index.local(IGNORE_FILE), self._seen, self._shown()
        if shown == self._stood or shown != (None if local is None else local.root):
            return False
        if local is None or found is None:
            return local is None and found is None
        return (local.size, local.mtime_ns) == (found.size, found.mtime_ns)

    def _shown(self) -> bytes | None:
        """The content of the flock's `.flockignore` that this disk has shown last."""
        synced = self._index.synced(IGNORE_FILE)
        return synced.disk.root if synced is not None and synced.disk is not None else None

    # -- what they say --------------------------------------------------------------------------

    def _look_at_copies(self) -> None:
        """Read the conflict copies that there are or will be. What only sends gets none: its own
        takes their place, and those that stand there count."""
        known, self._copies, self._read_copies = self._read_copies, {}, {}
        self._awaited.clear()
        for path, head in ignore_copies(self._index).items():
            if self._mode is Mode.SEND_ONLY and self._index.local(path) is None:
                continue
            if head.kind is Kind.FILE and head.size <= MAX_IGNORE_BYTES:
                text = known.get(head.root) or self._read_copy(path, head.root)
                self._copies[path] = text
                if text is not None:
                    self._read_copies[head.root] = text

    def _read_copy(self, path: str, root: bytes) -> str | None:
        """What it says; None: it is not here, or another by now."""
        local = self._index.local(path)
        if local is None or local.root != root:
            self._awaited[path] = root
            return None
        try:
            found = self._disk.stat(path)
            if found is None or (found.size, found.mtime_ns) != (local.size, local.mtime_ns):
                return None
            return self._text(path, found)
        except OSError:
            return None

    def _look_at_file(self, now: float) -> None:
        """What cannot be read changes nothing: what it said before stays in force."""
        self._unread.due(now)
        try:
            self._read(now)
        except OSError as error:
            self._trouble = (
                f"cannot be read: {error.strerror or error}; what it said before stays in force"
            )
            self._unread.failed(IGNORE_FILE, now)
        else:
            self._unread.forget(IGNORE_FILE)
        stands = _as_remembered(self._found) if self._trouble else None
        if self._looked and stands != self._shared_under:
            with self._index.transaction():
                self._index.remember(UNREAD, stands)
            self._shared_under = stands

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

    def _read(self, now: float) -> None:
        self._found = found = self._find(now)
        if found == self._seen and self._looked and self._trouble is None:
            return
        text = None
        if found is not None:
            if found.kind is not Kind.FILE:
                self._trouble = "is no file; what it said before stays in force"
                return
            if found.size > MAX_IGNORE_BYTES:
                self._trouble = (
                    f"is larger than {MAX_IGNORE_BYTES >> 10} KiB; what it said before stays in"
                    " force"
                )
                return
            text = self._text(IGNORE_FILE, found)
            if text is None:
                return  # being written: there is another look
        self._seen, self._looked, self._trouble = found, True, None
        self._rules = None if text is None else Ignore(text)

    def _text(self, path: str, found: Stat) -> str | None:
        """What a file says that was found like this; None: it is another by now."""
        descriptor = self._disk.open_read(path)
        try:
            data = files.read_at(descriptor, found.size, 0)
        finally:
            os.close(descriptor)
        if self._disk.stat(path) != found or len(data) != found.size:
            return None
        return data.decode("utf-8", "surrogateescape")


def _as_remembered(found: Stat | None) -> bytes | None:
    return f"{found.kind} {found.size} {found.mtime_ns}".encode() if found is not None else None

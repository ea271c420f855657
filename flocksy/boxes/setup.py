"""What the node tells one box about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flocksy.sync.messages import BOX_TAG_BYTES


class Mode(StrEnum):
    """What a node does in a box (design 6.3)."""

    SYNC = "sync"
    SEND_ONLY = "send-only"
    """What is made here takes the place of all that is known; what others make stays away."""
    RECEIVE_ONLY = "receive-only"
    """What is changed here is told to nobody, stays, and is shown."""
    ARCHIVE = "archive"
    """Like receive-only, and what others delete stays as well."""

    @property
    def receives_only(self) -> bool:
        """Whether no versions are made here."""
        return self in (Mode.RECEIVE_ONLY, Mode.ARCHIVE)


_MEANS = {
    Mode.SYNC: "changes here go to the others and theirs come here.",
    Mode.SEND_ONLY: (
        "changes here go to the others and take the place of theirs; theirs do not come here."
    ),
    Mode.RECEIVE_ONLY: (
        "changes of the others come here; changes here are told to nobody and set aside."
    ),
    Mode.ARCHIVE: (
        "changes of the others come here, except that nothing is deleted; changes here are told to"
        " nobody and set aside."
    ),
}


def change_words(former: Mode, mode: Mode) -> str:
    """What it means that a box changes from one mode to another, in sentences for people."""
    sentences = [_MEANS[mode], "The folder is looked through once: nothing that it lacks counts as"]
    sentences.append("deleted, and the flock's files are put where they are missing.")
    if mode is Mode.SEND_ONLY:
        sentences[-1] = "deleted."
    if former.receives_only and not mode.receives_only:
        sentences.append("What was changed here and set aside goes to the others, beside theirs.")
    if former is Mode.ARCHIVE:
        sentences.append("What others have deleted and this archive kept goes to the history.")
    return " ".join(sentences)


@dataclass(frozen=True, slots=True)
class BoxSetup:
    """One box as configured. Paths are absolute."""

    name: str
    path: str
    box_id: bytes
    """BLAKE2b-512 of the name."""
    index_path: str
    ignore_symlinks: bool = False
    follow_symlinks: bool = False
    """Links made on this disk show what they lead to."""
    private: tuple[str, ...] = ()
    """Files and directories of flocksy's own, which no link may show."""
    removable: bool = False
    mode: Mode = Mode.SYNC
    folders: tuple[str, ...] = ()
    """Of the box that this node holds, beside the way to them; empty: all of it."""
    guard_percent: int | None = None
    """Of the files: so many may be deleted within ten minutes without a question; None: nobody is
    ever asked, not even about what is found deleted at the start (`flocksy.boxes.guard`)."""
    history_percent: int = 10
    """Of the disk: how much the history may take before it is thinned out; or `history_bytes`,
    where that is not 0."""
    history_bytes: int = 0
    attributes: bool = False
    """Extended ones are synced."""

    @property
    def tag(self) -> bytes:
        """The box in messages: the first bytes of its id."""
        return self.box_id[:BOX_TAG_BYTES]

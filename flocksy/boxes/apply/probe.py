"""What the disk under a box can hold, found out by trying (at each activation).

What a disk cannot hold is not a change: exFAT rounds mtimes to 10 ms, knows none before 1980 and
shows one mode for all files, and without knowing that every file there would seem edited, or would
be dressed again and again.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from flocksy.boxes.apply.folders import make_folders
from flocksy.boxes.disk.port import PRIVATE, Disk
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.name_rules import CONTROLS, NameRules
from flocksy.sync.names import MAX_NAME_BYTES
from flocksy.sync.version import LATEST_NS, MAX_SIZE, Kind
from flocksy.system import filesystems

_FOLDER = f"{PRIVATE}/probe"

_MODES = (0o640, 0o751)
"""Two that differ for everybody and that no mount option shows by chance."""

_GRAINS_NS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Grains of mtime that file systems have: most; NTFS; some over FUSE or the network; again such;
exFAT; old ones; FAT."""

_MTIME_NS = 1_500_000_001_987_654_321
"""An odd second and a fraction that every grain above rounds to something else."""

_APART_NS = 1_000_000_007 * 1_000_000_000
"""No whole number of turns of a counter of seconds or years that is too short."""

_LONG_AGO_NS = (-LATEST_NS, -LATEST_NS + _APART_NS)
_FAR_AHEAD_NS = (LATEST_NS, LATEST_NS - _APART_NS)
"""1677 and 1709, and 2262 and 2230. A disk on which two of them are one has no time beyond that
(FAT and exFAT: 1980 to 2107; ext4 with small inodes: 1901 to 2038). One that begins to count anew
instead shows two."""

_MAX_FILE_BYTES = {"vfat": (4 << 30) - 1, "msdos": (4 << 30) - 1}
"""Of types that are known to hold no larger file. It is not tried out: a file of that size without
anything in it is written in full on disks that have no holes. What others refuse shows when it
comes."""

_NOT_THE_NAME = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


def probe(disk: Disk, *, attributes: bool = False) -> Capabilities:
    """Try out the disk of a box, inside its own directory; for extended attributes only where they
    are wanted. Raises `OSError` when not even an ordinary file can be made there (full, read-only,
    no permission)."""
    make_folders(disk)
    _clear(disk)
    disk.make_directory(_FOLDER, 0o700)
    try:
        _touch(disk, "plain")
        kind = disk.type_name().partition(".")[0]
        return Capabilities(
            mode_bits=_holds_modes(disk),
            symlinks=_holds_symlinks(disk),
            mtime_grain_ns=_mtime_grain_ns(disk),
            earliest_mtime_ns=_furthest_mtime_ns(disk, _LONG_AGO_NS),
            latest_mtime_ns=_furthest_mtime_ns(disk, _FAR_AHEAD_NS),
            max_file_bytes=_MAX_FILE_BYTES.get(kind, MAX_SIZE),
            attributes=attributes and _holds_attributes(disk),
            case_folding=_is_one(disk, "case", "CASE"),
            normalising=_is_one(disk, "n\u00e9", "ne\u0301"),
            stable_inodes=filesystems.keeps_inodes(kind),  # a probe cannot see that
            names=_name_rules(disk),
        )
    finally:
        _clear(disk)


def _touch(disk: Disk, name: str) -> None:
    os.close(disk.create(f"{_FOLDER}/{name}"))


def _holds_modes(disk: Disk) -> bool:
    try:
        return all(disk.set_metadata(f"{_FOLDER}/plain", m, None).mode == m for m in _MODES)
    except OSError:
        return False


def _holds_symlinks(disk: Disk) -> bool:
    text = "no where"
    try:
        disk.make_symlink(f"{_FOLDER}/link", text)
        return disk.read_link(f"{_FOLDER}/link") == text
    except OSError:
        return False


def _holds_attributes(disk: Disk) -> bool:
    try:
        for wanted in ({b"flocksy.a": b"1", b"flocksy.b": b"\0\xff"}, {b"flocksy.b": b""}):
            disk.set_attributes(f"{_FOLDER}/plain", encode_attributes(wanted))
            if disk.read_attributes(f"{_FOLDER}/plain") != encode_attributes(wanted):
                return False
    except OSError as error:
        if error.errno in _NOT_THE_NAME:
            raise  # says nothing of attributes either
        return False
    return True


def _mtime_grain_ns(disk: Disk) -> int:
    shown = disk.set_metadata(f"{_FOLDER}/plain", None, _MTIME_NS).mtime_ns
    for grain_ns in _GRAINS_NS:
        # Some round down and some to the nearest.
        if abs(shown - _MTIME_NS) < grain_ns and shown % grain_ns == 0:
            return grain_ns
    return _GRAINS_NS[-1]


def _furthest_mtime_ns(disk: Disk, beyond: tuple[int, int]) -> int:
    """The furthest time on the way to these: what the disk shows for both, or the first where it
    tells them apart or refuses them."""
    try:
        shown = {disk.set_metadata(f"{_FOLDER}/plain", None, one).mtime_ns for one in beyond}
    except OSError as error:
        if error.errno in _NOT_THE_NAME:
            raise  # says nothing of times either
        return beyond[0]
    return shown.pop() if len(shown) == 1 else beyond[0]


def _is_one(disk: Disk, name: str, other: str) -> bool:
    """Whether the two names are one entry to this disk."""
    try:
        _touch(disk, name)
    except OSError as error:
        _check_is_about_the_name(error)
        return False  # a name that it cannot hold at all is no second name of anything
    return disk.stat(f"{_FOLDER}/{other}") is not None


_NAMELESS = "to be renamed"

_CHARACTERS = '"*:<>?\\|'
"""What Windows, and file systems made for it, refuse in a name."""

_COMPOSED, _DECOMPOSED = "form \u00e9", "mark e\u0301"
_LARGEST = {0xFF: "umlaut \u00fc", 0xFFFF: "euro \u20ac", sys.maxunicode: "bird \U0001f426"}
"""Up to where a disk that has the letter has others."""

_SPECIAL = {
    "control": "control \1\t\n",
    "undecodable": "byte \udcff",
    "device": "nul.txt",
    "dot": "dot.",
    "space": "space ",
}


def _name_rules(disk: Disk) -> NameRules:
    """What the disk says of names that some disks refuse, and which it lists as something else."""
    characters = {character: f"character {character}" for character in _CHARACTERS}
    wanted = [*characters.values(), *_SPECIAL.values(), *_LARGEST.values()]
    wanted += [_COMPOSED, _DECOMPOSED]
    held = _held(disk, wanted)
    bad = {character for character, name in characters.items() if name not in held}
    if _SPECIAL["control"] not in held:
        bad.update(CONTROLS)
    composed, decomposed = _COMPOSED in held, _DECOMPOSED in held
    return NameRules(
        characters=frozenset(bad),
        endings=frozenset(
            ending for ending, name in ((".", "dot"), (" ", "space")) if _SPECIAL[name] not in held
        ),
        max_bytes=_longest_name(disk),
        undecodable=_SPECIAL["undecodable"] in held,
        largest=max((end for end, name in _LARGEST.items() if name in held), default=0x7F),
        devices=_SPECIAL["device"] in held,
        form="" if composed == decomposed else "NFC" if composed else "NFD",
    )


def _held(disk: Disk, names: Sequence[str]) -> set[str]:
    """Those of the names that an entry can be given as the applier does it, by a rename, and that
    are then listed as they are."""
    made: list[str] = []
    for name in names:
        _touch(disk, _NAMELESS)
        try:
            disk.move(f"{_FOLDER}/{_NAMELESS}", f"{_FOLDER}/{name}")
        except OSError as error:
            _check_is_about_the_name(error)
            # fusefat loses what it is asked to give such a name.
            with suppress(FileNotFoundError):
                disk.remove_file(f"{_FOLDER}/{_NAMELESS}")
        else:
            made.append(name)
    listed = {name for name, _ in disk.scan(_FOLDER)}
    for name in made:
        with suppress(OSError):
            disk.remove_file(f"{_FOLDER}/{name}")
    return listed.intersection(made)


def _check_is_about_the_name(error: OSError) -> None:
    """Raise what says nothing about a name. What does is EINVAL, EILSEQ, EPERM, even ENOENT."""
    if error.errno in _NOT_THE_NAME:
        raise error


def _longest_name(disk: Disk) -> int:
    """Bytes of the longest name that can be held."""
    if _held(disk, ["n" * MAX_NAME_BYTES]):
        return MAX_NAME_BYTES
    holds, too_long = 0, MAX_NAME_BYTES
    while too_long - holds > 1:
        middle = (holds + too_long) // 2
        if _held(disk, ["n" * middle]):
            holds = middle
        else:
            too_long = middle
    return holds


def _clear(disk: Disk) -> None:
    with suppress(FileNotFoundError):
        for name, found in disk.scan(_FOLDER):
            if found.kind is not Kind.DIRECTORY:
                disk.remove_file(f"{_FOLDER}/{name}")
        disk.remove_directory(_FOLDER)

"""Which names one disk can hold, as the probe found it: the receiver's question (design 6.3).

What a disk would refuse or change is held back there and shown, character and all; the others sync
it. The default is a disk that holds every name that a box can have.
"""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import dataclass
from typing import Literal

from flocksy.sync.names import MAX_NAME_BYTES, encode_path

DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)))
)
"""Names that Windows keeps for itself, with every extension."""

CONTROLS = "".join(map(chr, range(1, 32)))


@dataclass(frozen=True, slots=True)
class NameRules:
    """`characters`: those that no name may have; `endings`: none may end with; `largest`: the code
    point up to which there are others; `form`: the only normal form that a name keeps, where it is
    not every one; `devices`: names of devices can be used."""

    characters: frozenset[str] = frozenset()
    endings: frozenset[str] = frozenset()
    max_bytes: int = MAX_NAME_BYTES
    undecodable: bool = True
    largest: int = sys.maxunicode
    devices: bool = True
    form: Literal["", "NFC", "NFD"] = ""

    def why_not(self, path: str) -> str | None:
        """Why this disk cannot hold `path`, in words for people, or None."""
        if self == EVERY_NAME:
            return None
        for name in path.split("/"):
            reason = self._why_not(name)
            if reason is not None:
                return f"this disk cannot hold {reason}: rename it, or leave it to the others"
        return None

    def _why_not(self, name: str) -> str | None:
        raw = encode_path(name)
        if len(raw) > self.max_bytes:
            return f"names of {len(raw)} bytes, only up to {self.max_bytes}"
        for character in name:
            if character in self.characters:
                shown = f"U+{ord(character):04X}" if character < " " else f"“{character}”"
                return f"{shown} in a name"
        if name[-1] in self.endings:
            return "a space at the end of a name" if name[-1] == " " else "a dot at its name's end"
        if not self.undecodable and any("\udc80" <= character <= "\udcff" for character in name):
            return "a name that is not UTF-8"
        if ord(max(name)) > self.largest:
            return f"“{max(name)}” in a name"
        if not self.devices and name.partition(".")[0].rstrip(" ").casefold() in DEVICES:
            return f"“{name.partition('.')[0]}” as a name, which means a device"
        if self.form and unicodedata.normalize(self.form, name) != name:
            return f"a name that is not in normal form {self.form}"
        return None


EVERY_NAME = NameRules()
"""Of a disk that holds whatever a box can name."""

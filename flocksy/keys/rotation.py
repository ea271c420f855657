"""The announcement of a rotation: a member's new bundle, signed by its old key as well.

    [flocksy rotation 1]
    old-key: 3a5e...
    until: 2026-12-05                    the last day on which the old key is accepted
    name: anna                           from here on, the lines of the new bundle
    ...
    signature: 90ff...                   by the new key, over the new bundle
    old-signature: 11c0...               by the old key, over all lines above
    [end of rotation]

Who has the old key can make one: a rotation carries trust on from key to key. It is no remedy for
a key that was stolen; for that there is `revoke`.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from flocksy.errors import HostileInput
from flocksy.keys import z85
from flocksy.keys.bundle import MAX_BUNDLE_BYTES, Bundle, decode_bundle, encode_bundle, make_bundle
from flocksy.keys.pair import KeyPair
from flocksy.keys.signature import SIGNATURE_BYTES, is_signed, sign

MAX_ROTATION_BYTES = MAX_BUNDLE_BYTES + 512
"""A bundle, one more key, one more signature and a date."""

MAX_ROTATIONS = 64
"""In one text: as many as a flock has members."""

HEAD = "[flocksy rotation 1]"
TAIL = "[end of rotation]"
_DOMAIN = b"flocksy rotation 1\n"
_LINES = re.compile(
    r"old-key: (?P<old>[0-9a-f]{64})\n"
    r"until: (?P<until>[0-9]{4}-[0-9]{2}-[0-9]{2})\n"
    r"(?P<bundle>(?:.+\n){4,6})"
    r"old-signature: (?P<signature>[0-9a-f]{128})\n"
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """One member's change from one key to the next."""

    old_key: str
    """Z85."""
    until: datetime.date
    bundle: Bundle
    old_signature: bytes


def make_rotation(
    old: KeyPair, new: KeyPair, first_key: str, name: str, endpoint: str, until: datetime.date
) -> Rotation:
    """An announcement of our own. `first_key` is the one that our uid comes from."""
    bundle = make_bundle(new, name, endpoint, first_key=first_key)
    body = _body(old.public_key, until, bundle)
    return Rotation(old.public_key, until, bundle, sign(old, _DOMAIN + body.encode()))


def encode_rotation(rotation: Rotation) -> str:
    """The announcement as text, with a line end at its end."""
    body = _body(rotation.old_key, rotation.until, rotation.bundle)
    return f"{HEAD}\n{body}old-signature: {rotation.old_signature.hex()}\n{TAIL}\n"


def decode_rotation(text: str) -> Rotation:
    """The one announcement that `text` is, both signatures checked. Raises `HostileInput`, whose
    text says what is wrong in words for people."""
    if len(text) > MAX_ROTATION_BYTES:
        raise HostileInput(f"an announcement has at most {MAX_ROTATION_BYTES} bytes")
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    if len(lines) < 2 or lines[0] != HEAD or lines[-1] != TAIL:
        raise HostileInput(f"is no announcement: it begins with {HEAD} and ends with {TAIL}")
    match = _LINES.fullmatch("".join(f"{line}\n" for line in lines[1:-1]))
    if match is None:
        raise HostileInput("a line of the announcement is not as it was written; copy it whole")
    try:
        until = datetime.date.fromisoformat(match["until"])
    except ValueError:
        raise HostileInput("the announcement's day is none") from None
    bundle = decode_bundle(f"[flocksy bundle 1]\n{match['bundle']}[end of bundle]\n")
    old_key = z85.encode_key(bytes.fromhex(match["old"]))
    if bundle.first_key is None or bundle.public_key == old_key:
        raise HostileInput("the announcement changes no key")
    signature = bytes.fromhex(match["signature"])
    assert len(signature) == SIGNATURE_BYTES
    if not is_signed(old_key, _DOMAIN + _body(old_key, until, bundle).encode(), signature):
        raise HostileInput("the old key's signature is wrong: the announcement was changed")
    return Rotation(old_key, until, bundle, signature)


def find_rotations(text: str) -> tuple[Rotation, ...]:
    """All announcements in `text`, which may hold none. Raises `HostileInput` for a broken one."""
    found: list[Rotation] = []
    at = text.find(HEAD)
    while at >= 0:
        end = text.find(TAIL, at)
        if end < 0:
            raise HostileInput(f"an announcement has no end: {TAIL} is missing; copy it whole")
        if len(found) == MAX_ROTATIONS:
            raise HostileInput(f"holds more than {MAX_ROTATIONS} announcements")
        found.append(decode_rotation(text[at : end + len(TAIL)]))
        at = text.find(HEAD, end)
    return tuple(found)


def _body(old_key: str, until: datetime.date, bundle: Bundle) -> str:
    lines = encode_bundle(bundle).splitlines()[1:-1]
    return "\n".join(
        [f"old-key: {z85.decode_key(old_key).hex()}", f"until: {until.isoformat()}", *lines, ""]
    )

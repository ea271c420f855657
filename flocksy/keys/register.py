"""The register: what this node knows of its members' keys beside the keys themselves.

The keystore says which key stands behind an endpoint, in the original's JSON, and stays the one
source of that. Beside it, in a file of the same name with `.register` at its end, lies this: how
the member is called here, whether somebody has compared its key, which keys a rotation lets stand
for a while, and who has been revoked. An entry speaks of one key: where the keystore was edited by
hand, the new key has no entry and so nobody has compared it.

Everything here is a frozen value; a change is a new register.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flocksy.errors import KeyFileError
from flocksy.keys import z85
from flocksy.keys.bundle import Bundle, checked_name
from flocksy.keys.endpoints import normal_endpoint
from flocksy.keys.pair import KeyPair, uid_of
from flocksy.keys.signature import SIGNATURE_BYTES
from flocksy.keys.writing import replace

VERSION = 1
MAX_REGISTER_BYTES = 1024 * 1024
MAX_MEMBERS = 1024
"""Entries of one register. One flock has few of them; people may be in several."""

MAX_REVOKED = 4096
MAX_FORMER_KEYS = 4
"""Keys of one member that are accepted beside its newest: rotations come months apart."""

_UID = re.compile(r"[0-9a-f]{128}")


class Trust(enum.StrEnum):
    """How we know whose key it is."""

    UNVERIFIED = "unverified"
    COMPARED = "compared"  # people compared words, a number or a scanned code
    PAIRED = "paired"  # it came through a pairing by code

    @property
    def word(self) -> str:
        """What people are shown."""
        return "unverified" if self is Trust.UNVERIFIED else "verified"


@dataclass(frozen=True, slots=True)
class FormerKey:
    """A key that a rotation has replaced, or will: accepted until that day."""

    public_key: str
    until: datetime.date


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one key."""

    public_key: str
    name: str
    endpoint: str
    trust: Trust
    since: datetime.date
    """Of the trust; else of the import."""
    signature: bytes | None = None
    """The bundle's, so that it can be handed on."""
    first_key: str | None = None
    """Where the key came by rotation: the key that the uid comes from."""
    former: tuple[FormerKey, ...] = ()

    @property
    def uid(self) -> str:
        """The member's uid: of its first key, whatever it has now."""
        return uid_of(self.first_key or self.public_key)

    @property
    def bundle(self) -> Bundle | None:
        """The member's own bundle, where one came."""
        if self.signature is None:
            return None
        return Bundle(self.name, self.endpoint, self.public_key, self.signature, self.first_key)

    def accepted(self, today: datetime.date) -> tuple[str, ...]:
        """The keys that this member may still use beside its newest."""
        return tuple(former.public_key for former in self.former if today <= former.until)


@dataclass(frozen=True, slots=True)
class Revoked:
    """One key of a member that is let in no more, with none of its keys."""

    uid: str
    public_key: str
    name: str
    since: datetime.date


@dataclass(frozen=True, slots=True)
class Register:
    """All entries, in the order in which they came."""

    entries: tuple[Entry, ...] = ()
    revoked: tuple[Revoked, ...] = ()
    own: tuple[str, str] | None = field(default=None, compare=False)
    """This node's key and its first one, as the private key file says; not written here."""

    def entry(self, public_key: str) -> Entry | None:
        """What is known of that key."""
        return next((one for one in self.entries if one.public_key == public_key), None)

    def uid(self, public_key: str) -> str:
        """The uid of the member with that key."""
        return uid_of(self.first_key(public_key) or public_key)

    def first_key(self, public_key: str) -> str | None:
        """Where that key came by rotation: the one that the uid comes from."""
        entry = self.entry(public_key)
        if entry is not None and entry.first_key is not None:
            return entry.first_key
        return self.own[1] if self.own is not None and self.own[0] == public_key else None

    def revocation(self, uid: str, public_key: str) -> Revoked | None:
        """Why neither this uid nor this key may come back; None when they may."""
        uids = (uid, uid_of(public_key))  # a first key may come back under another uid
        return next(
            (one for one in self.revoked if one.uid in uids or one.public_key == public_key), None
        )

    def with_entry(self, entry: Entry, *, instead_of: str | None = None) -> Register:
        """With `entry` in the place of that for the same key, or for the key `instead_of`."""
        gone = {entry.public_key, instead_of}
        kept = tuple(one for one in self.entries if one.public_key not in gone)
        return dataclasses.replace(self, entries=(*kept, entry))

    def without(self, public_key: str) -> Register:
        """Without the entry for that key."""
        kept = tuple(one for one in self.entries if one.public_key != public_key)
        return dataclasses.replace(self, entries=kept)


def register_path(keystore_path: str) -> str:
    """Where the register of a keystore lies."""
    return f"{os.path.realpath(keystore_path)}.register"


def read_register(keystore_path: str, own: KeyPair | None = None) -> Register:
    """The register beside the keystore; empty where there is none. Raises `KeyFileError`.

    Of our `own` key its file says itself what it was rotated from: a register that was lost, or
    not copied with the key, must not make this node another member.
    """
    found = _read_register(keystore_path)
    if own is None or own.first_key is None:
        return found
    return dataclasses.replace(found, own=(own.public_key, own.first_key))


def _read_register(keystore_path: str) -> Register:
    path = register_path(keystore_path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_REGISTER_BYTES + 1)
    except FileNotFoundError:
        return Register()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return decode_register(data)
    except ValueError as error:
        raise KeyFileError(
            f"{path}: {error}; mend it or restore it from a backup: it alone knows who was "
            "revoked, and the uids of keys that were changed"
        ) from None


def write_register(keystore_path: str, register: Register) -> None:
    """Replace the register beside the keystore. Raises `KeyFileError`."""
    replace(register_path(keystore_path), encode_register(register))


def encode_register(register: Register) -> str:
    """The register as JSON text."""
    return (
        json.dumps(
            {
                "version": VERSION,
                "members": [_plain_entry(entry) for entry in register.entries],
                "revoked": [
                    {
                        "uid": one.uid,
                        "key": one.public_key,
                        "name": one.name,
                        "since": one.since.isoformat(),
                    }
                    for one in register.revoked
                ],
            },
            indent=4,
            ensure_ascii=False,
        )
        + "\n"
    )


def decode_register(data: bytes) -> Register:
    """The register that `data` is, every field checked. ValueError, in words, otherwise."""
    if len(data) > MAX_REGISTER_BYTES:
        raise ValueError(f"larger than {MAX_REGISTER_BYTES} bytes, this is no register")
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    fields = _fields(plain, "the register", {"version", "members", "revoked"})
    if fields["version"] != VERSION:
        raise ValueError(
            f"is of version {str(fields['version'])[:20]!r}, this flocksy knows version {VERSION}"
        )
    entries = tuple(_entry(one) for one in _list(fields["members"], MAX_MEMBERS))
    if len({entry.public_key for entry in entries}) != len(entries):
        raise ValueError("one key is there twice")
    revoked = tuple(_revoked(one) for one in _list(fields["revoked"], MAX_REVOKED))
    return Register(entries, revoked)


def _plain_entry(entry: Entry) -> dict[str, object]:
    plain: dict[str, object] = {
        "key": entry.public_key,
        "name": entry.name,
        "endpoint": entry.endpoint,
        "trust": str(entry.trust),
        "since": entry.since.isoformat(),
    }
    if entry.signature is not None:
        plain["signature"] = entry.signature.hex()
    if entry.first_key is not None:
        plain["first_key"] = entry.first_key
    if entry.former:
        plain["former"] = [
            {"key": former.public_key, "until": former.until.isoformat()} for former in entry.former
        ]
    return plain


def _entry(plain: object) -> Entry:
    must = {"key", "name", "endpoint", "trust", "since"}
    fields = _fields(plain, "a member", must, may={"signature", "first_key", "former"})
    name, endpoint = _text(fields, "name"), _text(fields, "endpoint")
    if normal_endpoint(endpoint) != endpoint:
        raise ValueError("an endpoint is not in its normal form")
    try:
        trust = Trust(_text(fields, "trust"))
    except ValueError:
        raise ValueError("a trust is none of " + ", ".join(Trust)) from None
    signature = None
    if "signature" in fields:
        signature = bytes.fromhex(_text(fields, "signature"))
        if len(signature) != SIGNATURE_BYTES:
            raise ValueError(f"a signature has not {SIGNATURE_BYTES} bytes")
    return Entry(
        public_key=_key(fields, "key"),
        name=checked_name(name),
        endpoint=endpoint,
        trust=trust,
        since=_date(fields, "since"),
        signature=signature,
        first_key=_key(fields, "first_key") if "first_key" in fields else None,
        former=tuple(
            FormerKey(_key(one, "key"), _date(one, "until"))
            for one in (
                _fields(each, "a former key", {"key", "until"})
                for each in _list(fields.get("former", []), MAX_FORMER_KEYS)
            )
        ),
    )


def _revoked(plain: object) -> Revoked:
    fields = _fields(plain, "a revocation", {"uid", "key", "name", "since"})
    uid = _text(fields, "uid")
    if not _UID.fullmatch(uid):
        raise ValueError("a uid has not 128 hex digits")
    name = checked_name(_text(fields, "name"))
    return Revoked(uid, _key(fields, "key"), name, _date(fields, "since"))


def _fields(
    plain: object, what: str, must: set[str], *, may: set[str] | None = None
) -> Mapping[str, object]:
    if not isinstance(plain, dict) or not must <= set(plain) <= must | (may or set()):
        raise ValueError(f"{what} has not the fields {', '.join(sorted(must))}")
    return plain


def _list(plain: object, most: int) -> list[object]:
    if not isinstance(plain, list) or len(plain) > most:
        raise ValueError(f"a list is none, or has more than {most} entries")
    return plain


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value


def _key(fields: Mapping[str, object], name: str) -> str:
    text = _text(fields, name)
    z85.decode_key(text)
    return text


def _date(fields: Mapping[str, object], name: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(_text(fields, name))
    except ValueError:
        raise ValueError(f"{name} is no day (2026-12-31)") from None

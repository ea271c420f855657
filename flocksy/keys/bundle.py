"""Bundles: what one member hands to another, as a few lines of text that any messenger carries.

    [flocksy bundle 1]
    name: anna
    endpoint: tcp://anna.example:5000
    key: 3a5e...                         64 hex digits
    signature: 90ff...                   128 hex digits
    [end of bundle]

Hex and brackets, since messengers turn other signs into quotes, dashes and bold type. After a
rotation there is a line `first-key`, above `signature`: the key that the member's uid comes from.

The signature, by the key itself, shows that the bundle is whole and that its maker has the private
half; *whose* key it is it cannot show. For that people compare words or numbers, or pair by a code.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from flocksy.errors import HostileInput
from flocksy.keys import z85
from flocksy.keys.endpoints import told_endpoint
from flocksy.keys.pair import KeyPair, uid_of
from flocksy.keys.signature import SIGNATURE_BYTES, is_signed, sign

MAX_NAME_CHARACTERS = 32
MAX_BUNDLE_BYTES = 2048
"""The longest name and endpoint in UTF-8, two keys and a signature take 1,000."""

MAX_TEXT_BYTES = 256 * 1024
"""Of a text that bundles are looked for in: a mail with all that mails have."""

MAX_BUNDLES = 64
"""In one text: as many as a flock has members."""

_HEAD = "[flocksy bundle 1]"
_TAIL = "[end of bundle]"
_DOMAIN = b"flocksy bundle 1\n"
_FIELD = re.compile(r"(name|endpoint|key|first-key|signature): (\S+)")
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Bundle:
    """One member's name, endpoint and key, signed by that key."""

    name: str
    """What its owner calls this machine: a claim, unique in no way."""
    endpoint: str
    """As `told_endpoint` gives it."""
    public_key: str
    """Z85."""
    signature: bytes
    first_key: str | None = None
    """Z85; the key that the uid comes from where the key has been rotated."""

    @property
    def uid(self) -> str:
        """The uid of the member that this bundle speaks of."""
        return uid_of(self.first_key or self.public_key)


def checked_name(name: str) -> str:
    """`name`, if a member can be called so. ValueError otherwise.

    Letters and digits of any script, and `-`, `_` and `.` after the first: it stands in
    command lines and tables.
    """
    whole = len(name) <= MAX_NAME_CHARACTERS and unicodedata.normalize("NFC", name) == name
    if not whole or not name[:1].isalnum() or not all(c.isalnum() or c in "-_." for c in name):
        raise ValueError(
            f"is no name for a member: 1 to {MAX_NAME_CHARACTERS} letters and digits, and - _ ."
        )
    return name


def make_bundle(pair: KeyPair, name: str, endpoint: str, *, first_key: str | None = None) -> Bundle:
    """A bundle of our own. ValueError where name or endpoint cannot be one."""
    if first_key == pair.public_key:
        first_key = None
    endpoint = told_endpoint(endpoint)
    body = _body(checked_name(name), endpoint, pair.public_key, first_key)
    return Bundle(name, endpoint, pair.public_key, sign(pair, _DOMAIN + body.encode()), first_key)


def encode_bundle(bundle: Bundle) -> str:
    """The bundle as text, with a line end at its end."""
    body = _body(bundle.name, bundle.endpoint, bundle.public_key, bundle.first_key)
    return f"{_HEAD}\n{body}signature: {bundle.signature.hex()}\n{_TAIL}\n"


def decode_bundle(text: str) -> Bundle:
    """The one bundle that `text` is; text before and after it, or a second one, is refused.

    Space around lines, empty lines and line ends of any kind are forgiven, everything else is not.
    Raises `HostileInput`, whose text says what is wrong in words for people.
    """
    if len(text) > MAX_BUNDLE_BYTES or len(text.encode("utf-8", "replace")) > MAX_BUNDLE_BYTES:
        raise HostileInput(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes")
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    if len(lines) < 2 or lines[0] != _HEAD or lines[-1] != _TAIL:
        raise HostileInput(f"is no bundle: it begins with {_HEAD} and ends with {_TAIL}")
    fields: dict[str, str] = {}
    for line in lines[1:-1]:
        match = _FIELD.fullmatch(line)
        if match is None or match[1] in fields:
            raise HostileInput("a line of the bundle is not as it was written; copy it whole")
        fields[match[1]] = match[2]
    if not {"name", "endpoint", "key", "signature"} <= set(fields):
        raise HostileInput("a line of the bundle is missing; copy it whole")
    try:
        name = checked_name(fields["name"])
        endpoint = told_endpoint(fields["endpoint"])
    except ValueError as error:
        raise HostileInput(f"the bundle's {_shown(fields, error)}") from None
    first = fields.get("first-key")
    bundle = Bundle(
        name,
        endpoint,
        _key(fields["key"]),
        _bytes(fields["signature"], SIGNATURE_BYTES),
        None if first is None else _key(first),
    )
    # What is signed is the text that we would write: whatever differs from it is no bundle.
    body = _body(bundle.name, bundle.endpoint, bundle.public_key, bundle.first_key)
    if body.splitlines() != lines[1:-2] or first == fields["key"]:
        raise HostileInput("the bundle is not written as flocksy writes it; copy it whole")
    if not is_signed(bundle.public_key, _DOMAIN + body.encode(), bundle.signature):
        raise HostileInput("the bundle's signature is wrong: it was changed on its way")
    return bundle


def find_bundles(text: str) -> tuple[Bundle, ...]:
    """All bundles in `text`, with whatever stands around them. Raises `HostileInput` when one is
    broken, when there is none, or when there are too many."""
    if len(text) > MAX_TEXT_BYTES:
        raise HostileInput(f"is longer than {MAX_TEXT_BYTES} bytes")
    found: list[Bundle] = []
    current: list[str] | None = None
    for raw in text.splitlines():
        line = raw.strip()
        if line == _HEAD:
            if current is not None:
                break
            current = [line]
        elif current is not None:
            current.append(line)
            if line == _TAIL:
                if len(found) == MAX_BUNDLES:
                    raise HostileInput(f"holds more than {MAX_BUNDLES} bundles")
                found.append(decode_bundle("\n".join(current)))
                current = None
    if current is not None:
        raise HostileInput(f"a bundle has no end: {_TAIL} is missing; copy it whole")
    if not found:
        raise HostileInput(f"holds no bundle; one begins with {_HEAD}")
    return tuple(found)


def _body(name: str, endpoint: str, public_key: str, first_key: str | None) -> str:
    body = f"name: {name}\nendpoint: {endpoint}\nkey: {z85.decode_key(public_key).hex()}\n"
    if first_key is not None:
        body += f"first-key: {z85.decode_key(first_key).hex()}\n"
    return body


def _shown(fields: dict[str, str], error: ValueError) -> str:
    which = "endpoint"
    try:
        checked_name(fields["name"])
    except ValueError:
        which = "name"
    return f"{which} {error}"


def _key(digits: str) -> str:
    return z85.encode_key(_bytes(digits, z85.KEY_BYTES))


def _bytes(digits: str, size: int) -> bytes:
    if len(digits) != 2 * size or not _HEX.fullmatch(digits):
        raise HostileInput(f"a number of the bundle has not {2 * size} hex digits; copy it whole")
    return bytes.fromhex(digits)

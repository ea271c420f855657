"""The two key files, in the original flocksy's JSON.

The keystore maps endpoints to public keys and may be handed around; the private key file maps own
endpoints to pairs and must be readable by its owner only, in a directory where nobody else writes.
Keys are Z85 text of 40 characters. No error text ever holds a private one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TypeVar

import nacl.bindings

from flocksy.errors import KeyFileError
from flocksy.keys import z85
from flocksy.keys.endpoints import normal_endpoint
from flocksy.keys.pair import KeyPair
from flocksy.keys.seal import check_sealed
from flocksy.keys.writing import PUBLIC_MODE, replace, write_new

MAX_KEY_FILE_BYTES = 1024 * 1024
"""An entry has below 400 bytes: this is room for thousands of members."""

_Value = TypeVar("_Value")


def read_keystore(path: str) -> dict[str, str]:
    """Endpoint to public key, of everybody in the keystore at `path`."""
    return decode_keystore(_text(path, "keystore", private=False), path)


def decode_keystore(text: str, path: str) -> dict[str, str]:
    """The keystore that `text` is; `path` is for the message. Raises `KeyFileError`."""
    return _decode(text, path, "keystore", _public_key, private=False)


def encode_keystore(keystore: Mapping[str, str]) -> str:
    """The keystore as text, in the original's form."""
    return _json(keystore)


def read_private_keys(path: str) -> dict[str, KeyPair]:
    """Own endpoints to their pairs. The file must be closed to everybody else."""
    return decode_private_keys(_text(path, "private key file", private=True), path)


def decode_private_keys(text: str, path: str) -> dict[str, KeyPair]:
    """The private keys that `text` is; `path` is for the message. Raises `KeyFileError`."""
    return _decode(text, path, "private key file", _key_pair, private=True)


def encode_private_keys(pairs: Mapping[str, KeyPair]) -> str:
    """The private keys as text. A sealed pair is written sealed."""
    return _json({endpoint: _entry(pair) for endpoint, pair in pairs.items()})


def generate_pair() -> KeyPair:
    """A fresh pair from the system's source of randomness."""
    public, private = nacl.bindings.crypto_box_keypair()
    return KeyPair(z85.encode_key(public), z85.encode_key(private))


def create_private_keys(path: str, endpoints: tuple[str, ...]) -> KeyPair:
    """Make sure that every endpoint of `endpoints` has a private key in the file at `path`.

    All own endpoints of one node share one pair. A key that exists is never changed: where some
    endpoints have one, the others get the same. A new file is made 0600; an existing one is
    replaced in one step by itself plus the new entries. Returns the pair.
    """
    refuse_lost(path, "private key file")
    path = os.path.realpath(path)
    if not os.path.lexists(path):
        pair = generate_pair()
        try:
            write_new(path, _json(dict.fromkeys(endpoints, _entry(pair))))
        except OSError as error:
            raise KeyFileError(f"{path}: cannot be made: {error.strerror}") from error
        return pair
    known = read_private_keys(path)
    there = {
        known[endpoint].public_key: known[endpoint] for endpoint in endpoints if endpoint in known
    }
    if len(there) > 1:
        raise KeyFileError(
            f"{path}: {' and '.join(endpoints)} have different keys, but all endpoints of one "
            "node must have the same; move one entry to a file of its own"
        )
    pair = next(iter(there.values()), None) or generate_pair()
    missing = [endpoint for endpoint in endpoints if endpoint not in known]
    if missing:
        entries = json.loads(_text(path, "private key file", private=True))
        entries.update(dict.fromkeys(missing, _entry(pair)))
        replace(path, _json(entries))
    return pair


def write_private_keys(path: str, pairs: Mapping[str, KeyPair]) -> None:
    """Replace the private key file in one step."""
    replace(path, encode_private_keys(pairs))


def write_keystore(path: str, keystore: Mapping[str, str]) -> None:
    """Replace the keystore in one step, in the original's form. Whom it is closed to, it stays
    closed to: it has the addresses of all members."""
    replace(path, encode_keystore(keystore), PUBLIC_MODE, keep_mode=True)


def _entry(pair: KeyPair) -> dict[str, str]:
    first = {} if pair.first_key is None else {"first_key": pair.first_key}
    if pair.sealed is not None:
        return {"private_key_sealed": pair.sealed, "public_key": pair.public_key, **first}
    return {"private_key": pair.private_key, "public_key": pair.public_key, **first}


def _json(entries: Mapping[str, object]) -> str:
    return json.dumps(entries, indent=4, ensure_ascii=False) + "\n"


def _decode(
    text: str, path: str, what: str, convert: Callable[[object], _Value], *, private: bool
) -> dict[str, _Value]:
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise KeyFileError(f"{path}:{error.lineno}: is not JSON: {error.msg.lower()}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; too deep
        raise KeyFileError(f"{path}: is not a {what}") from None
    if not isinstance(pairs, _Pairs):
        raise KeyFileError(f"{path}: a {what} is a JSON object, {{endpoint: key, ...}}")
    found: dict[str, _Value] = {}
    for name, value in pairs:
        try:
            endpoint = normal_endpoint(name)
            if endpoint in found:
                raise ValueError("is there twice; remove the wrong one")
            found[endpoint] = convert(value)
        except ValueError as error:
            # Who has swapped an endpoint and a key has the private one where the name is.
            shown = "an endpoint there" if private else repr(name)
            raise KeyFileError(f"{path}:{_line_of(text, name)}: {shown}: {error}") from None
    return found


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its order and its double keys, which a dict would hide."""


def _text(path: str, what: str, *, private: bool) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: the {what} is not a file")
            if private and os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise KeyFileError(
                    f"{path}: others can read the private keys (mode {stat.S_IMODE(mode):04o}); "
                    f"chmod 600 {shlex.quote(path)}"
                )
            if private:
                _refuse_open_directory(path)
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except FileNotFoundError:
        refuse_lost(path, what)
        hint = (
            "make it with flocksy --create-private-keys"
            if private
            else "collect the members' keys in it"
        )
        raise KeyFileError(f"{path}: the {what} does not exist; {hint}") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot read the {what}: {error.strerror}") from None
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{path}: larger than {MAX_KEY_FILE_BYTES} bytes, this is no {what}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: is not UTF-8 text, this is no {what}") from None


def refuse_lost(path: str, what: str) -> None:
    """Raise `KeyFileError` where a link on the way to `path` leads to nothing.

    On a disk that is not mounted the file may be there all the same: none is made in its place.
    """
    for link in (path, *(str(parent) for parent in PurePath(path).parents)):
        if os.path.islink(link) and not os.path.exists(link):
            raise KeyFileError(
                f"{path}: the {what} cannot be reached: {link} leads to {os.path.realpath(link)}, "
                "which is not there; is its disk mounted? If there is none, remove that link"
            )


def _refuse_open_directory(path: str) -> None:
    """Who can write in the directory can put another file in the place of this one."""
    directory = os.path.dirname(os.path.realpath(path))
    mode = os.stat(directory).st_mode
    # In a sticky directory (/tmp) nobody can replace what is not theirs.
    if os.name == "posix" and mode & 0o022 and not mode & stat.S_ISVTX:
        raise KeyFileError(
            f"{path}: others can write in its directory and swap the private keys (mode "
            f"{stat.S_IMODE(mode):04o}); chmod 700 {shlex.quote(directory)}"
        )


def _public_key(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("its key must be a text of 40 characters (Z85)")
    z85.decode_key(value)
    return value


def _key_pair(value: object) -> KeyPair:
    fields = dict(value) if isinstance(value, _Pairs) else {}
    first = _public_key(fields.pop("first_key")) if "first_key" in fields else None
    if set(fields) == {"private_key_sealed", "public_key"}:
        sealed = fields["private_key_sealed"]
        if not isinstance(sealed, str):
            raise ValueError("its private_key_sealed must be a text")
        return KeyPair(_public_key(fields["public_key"]), "", check_sealed(sealed), first)
    if set(fields) != {"private_key", "public_key"}:
        raise ValueError('must be {"private_key": ..., "public_key": ...}')
    private = _public_key(fields["private_key"])
    pair = KeyPair(_public_key(fields["public_key"]), private, first_key=first)
    derived = nacl.bindings.crypto_scalarmult_base(z85.decode_key(pair.private_key))
    if derived != z85.decode_key(pair.public_key):
        raise ValueError("its private and its public key do not belong together")
    return pair


def _line_of(text: str, name: str) -> int:
    # Names with escapes in the JSON text are not found: then the first line serves.
    found = re.search(re.escape(f'"{name}"') + r"\s*:", text)
    return text.count("\n", 0, found.start()) + 1 if found else 1

"""A private key under a passphrase: argon2id makes a key of it, secretbox seals with that.

The key file keeps the original's shape. An entry's `private_key` gives way to

    "private_key_sealed" : "argon2id$3$268435456$<salt>$<nonce and box>"

with operations, bytes of memory, and base64. The public key stays readable: finding the node of a
configuration, listing and comparing keys need no passphrase.
"""

from __future__ import annotations

import base64
import dataclasses
import re

import nacl.bindings
import nacl.pwhash.argon2id
import nacl.utils
from nacl.exceptions import CryptoError

from flocksy.errors import KeyFileError
from flocksy.keys import z85
from flocksy.keys.pair import KeyPair

MAX_PASSPHRASE_BYTES = 1024

OPERATIONS = nacl.pwhash.argon2id.OPSLIMIT_MODERATE
MEMORY_BYTES = nacl.pwhash.argon2id.MEMLIMIT_MODERATE
"""256 MiB and 3 passes, most of a second: what each guess costs an attacker, too."""

MAX_OPERATIONS = 64
MAX_MEMORY_BYTES = 1 << 30
"""Of a file that somebody else may have written: a gigabyte is twice what anybody chooses."""

_SALT_BYTES = nacl.pwhash.argon2id.SALTBYTES
_NONCE_BYTES = nacl.bindings.crypto_secretbox_NONCEBYTES
_BOX_BYTES = _NONCE_BYTES + nacl.bindings.crypto_secretbox_MACBYTES + z85.KEY_BYTES
_SEALED = re.compile(
    r"argon2id\$(?P<operations>[0-9]{1,3})\$(?P<memory>[0-9]{1,12})"
    r"\$(?P<salt>[A-Za-z0-9+/=]{1,64})\$(?P<box>[A-Za-z0-9+/=]{1,256})"
)


def seal(
    private_key: str,
    passphrase: bytes,
    *,
    operations: int = OPERATIONS,
    memory_bytes: int = MEMORY_BYTES,
) -> str:
    """The text that keeps `private_key` (Z85) under `passphrase`."""
    salt = nacl.utils.random(_SALT_BYTES)
    nonce = nacl.utils.random(_NONCE_BYTES)
    key = _stretched(passphrase, salt, operations, memory_bytes)
    box = nacl.bindings.crypto_secretbox(z85.decode_key(private_key), nonce, key)
    texts = (base64.b64encode(data).decode("ascii") for data in (salt, nonce + box))
    return "$".join(("argon2id", str(operations), str(memory_bytes), *texts))


def check_sealed(text: str) -> str:
    """`text` if it can be a sealed key. ValueError, in words, otherwise."""
    _parts(text)
    return text


def unseal(pair: KeyPair, passphrase: bytes, path: str) -> KeyPair:
    """The pair with its private half opened; `path` is for the message.

    Raises `KeyFileError` where the passphrase is not the one.
    """
    assert pair.sealed is not None, "only what is sealed can be opened"
    operations, memory_bytes, salt, box = _parts(pair.sealed)
    key = _stretched(passphrase, salt, operations, memory_bytes)
    try:
        secret = nacl.bindings.crypto_secretbox_open(box[_NONCE_BYTES:], box[:_NONCE_BYTES], key)
    except CryptoError:
        raise KeyFileError(f"{path}: this is not the passphrase of the private key") from None
    if nacl.bindings.crypto_scalarmult_base(secret) != z85.decode_key(pair.public_key):
        raise KeyFileError(f"{path}: its private and its public key do not belong together")
    return dataclasses.replace(pair, private_key=z85.encode_key(secret))


def _stretched(passphrase: bytes, salt: bytes, operations: int, memory_bytes: int) -> bytes:
    try:
        return nacl.pwhash.argon2id.kdf(
            nacl.bindings.crypto_secretbox_KEYBYTES,
            passphrase,
            salt,
            opslimit=operations,
            memlimit=memory_bytes,
        )
    except (CryptoError, MemoryError):
        raise KeyFileError(
            f"the passphrase needs {memory_bytes >> 20} MiB of memory to be checked, which this "
            "machine does not give now"
        ) from None


def _parts(text: str) -> tuple[int, int, bytes, bytes]:
    match = _SEALED.fullmatch(text)
    if match is None:
        raise ValueError("its private_key_sealed is not as flocksy writes it")
    operations, memory_bytes = int(match["operations"]), int(match["memory"])
    if not (
        nacl.pwhash.argon2id.OPSLIMIT_MIN <= operations <= MAX_OPERATIONS
        and nacl.pwhash.argon2id.MEMLIMIT_MIN <= memory_bytes <= MAX_MEMORY_BYTES
    ):
        raise ValueError("its private_key_sealed asks for too much work")
    try:
        salt = base64.b64decode(match["salt"], validate=True)
        box = base64.b64decode(match["box"], validate=True)
    except ValueError:
        raise ValueError("its private_key_sealed is not as flocksy writes it") from None
    if len(salt) != _SALT_BYTES or len(box) != _BOX_BYTES:
        raise ValueError("its private_key_sealed is not as flocksy writes it")
    return operations, memory_bytes, salt, box

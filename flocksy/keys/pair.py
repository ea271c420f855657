"""A node's key pair, and the identity that follows from the public half."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


def uid_of(public_key: str) -> str:
    """The uid of a member: BLAKE2b-512 of its public key's Z85 text, 128 hex digits.

    As in the original flocksy, the text is hashed and not the 32 bytes it stands for.
    """
    return hashlib.blake2b(public_key.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE25519 key pair, both halves as 40 characters of Z85. The repr hides the secret.

    With a passphrase the private half is empty until `flocksy.keys.seal.unseal` opens it.
    """

    public_key: str
    private_key: str = field(repr=False)
    sealed: str | None = field(default=None, repr=False)
    first_key: str | None = None
    """Where the pair came by rotation: the public key that the uid comes from. The register says
    so too, but people move a key without it."""

    @property
    def uid(self) -> str:
        """Identity of the node that owns this pair."""
        return uid_of(self.first_key or self.public_key)

    @property
    def is_open(self) -> bool:
        """Whether the private half is at hand."""
        return bool(self.private_key)

"""Who is known here, from keystore and register, and whom people mean by what they type. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flocksy.errors import KeyFileError
from flocksy.keys.fingerprint import fingerprint_hex
from flocksy.keys.register import Entry, Register, Revoked, Trust

MIN_DIGITS = 4
"""The shortest beginning of a fingerprint that can mean somebody."""

SHOWN_DIGITS = 16
"""Of a fingerprint that tells two of one name apart: nobody finds a key with the same by chance."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the files say, and the day."""

    keystore: Mapping[str, str]
    """Endpoint to public key."""
    register: Register
    own_keys: tuple[str, ...]
    """This node's public key; the next one too while a rotation is under way."""
    own_endpoints: tuple[str, ...]
    today: datetime.date


@dataclass(frozen=True, slots=True)
class Person:
    """One member as it stands in keystore and register."""

    public_key: str
    endpoints: tuple[str, ...]
    entry: Entry | None
    revoked: Revoked | None = None
    """Where a removal broke off: what else is there of it can still be taken out by its name."""

    @property
    def name(self) -> str:
        """What it is called here; its endpoint where it came without a bundle."""
        known = self.entry or self.revoked
        return known.name if known is not None else self.endpoints[0]

    @property
    def trust(self) -> Trust:
        """Whether its key has been compared."""
        return self.entry.trust if self.entry is not None else Trust.UNVERIFIED


def people(known: Known) -> tuple[Person, ...]:
    """Everybody in the keystore but this node."""
    found: dict[str, list[str]] = {}
    for endpoint, key in known.keystore.items():
        if key not in known.own_keys and endpoint not in known.own_endpoints:
            found.setdefault(key, []).append(endpoint)
    return tuple(person_with(known, key, endpoints) for key, endpoints in found.items())


def person_with(known: Known, public_key: str, endpoints: Iterable[str] | None = None) -> Person:
    """The one with that key, at `endpoints` or at all that the keystore has for it."""
    if endpoints is None:
        endpoints = (e for e, key in known.keystore.items() if key == public_key)
    register = known.register
    revoked = register.revocation(register.uid(public_key), public_key)
    return Person(public_key, tuple(endpoints), register.entry(public_key), revoked)


def find_person(known: Known, text: str) -> Person:
    """The one that `text` means: a name, an endpoint, or the beginning of a fingerprint in hex.

    Raises `KeyFileError` where nobody or more than one is meant.
    """
    everybody = people(known)
    exact = [one for one in everybody if text == one.name or text in one.endpoints]
    if not exact:
        exact = [
            one
            for one in everybody
            if f"tcp://{text}" in one.endpoints or _begins(text, one.public_key)
        ]
    if len(exact) == 1:
        return exact[0]
    if exact:
        listed = ", ".join(f"{one.name} at {one.endpoints[0]}" for one in exact)
        raise KeyFileError(f"{text!r} can be {listed}; name the endpoint")
    names = ", ".join(one.name for one in everybody) or "nobody yet"
    raise KeyFileError(f"no member is called {text!r}; known are {names}")


def find_revoked(register: Register, text: str) -> Revoked:
    """The one revoked that `text` means: a name, or the beginning of a fingerprint in hex.

    Raises `KeyFileError` where nobody or more than one is meant.
    """
    everybody = register.revoked
    # Of one member all keys are there, each with its uid.
    meant = {one.uid: one for one in everybody if one.name == text}
    meant = meant or {one.uid: one for one in everybody if _begins(text, one.public_key)}
    if not meant:
        who = ", ".join(sorted({one.name for one in everybody}))
        raise KeyFileError(
            f"nobody called {text!r} was revoked; {f'revoked is {who}' if who else 'nobody is'}"
        )
    if len(meant) > 1:
        listed = " and ".join(
            f"{one.name} {_digits(one.public_key)[:SHOWN_DIGITS]} of {one.since}"
            for one in meant.values()
        )
        raise KeyFileError(f"{text!r} can be {listed}; name the digits of the one you mean")
    return next(iter(meant.values()))


def name_of_revoked(register: Register, one: Revoked) -> str:
    """What people type to mean that one: its name, where it is nobody else's."""
    same = {other.uid for other in register.revoked if other.name == one.name}
    return one.name if len(same) == 1 else _digits(one.public_key)[:SHOWN_DIGITS]


def _digits(public_key: str) -> str:
    return fingerprint_hex(public_key).replace(" ", "")


def _begins(text: str, public_key: str) -> bool:
    digits = text.lower().replace(" ", "")
    return len(digits) >= MIN_DIGITS and _digits(public_key).startswith(digits)

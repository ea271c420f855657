"""What happens to keystore, register and members when a key comes, changes or goes. Pure.

Each function takes what is known and returns a `Change`: what would be different, in lines for
people, and the new state. Nothing is written here, so that people can be asked first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from flocksy.errors import KeyFileError
from flocksy.keys.bundle import Bundle
from flocksy.keys.endpoints import is_local
from flocksy.keys.fingerprint import fingerprint_hex
from flocksy.keys.pair import uid_of
from flocksy.keys.people import (
    Known,
    Person,
    find_revoked,
    name_of_revoked,
    people,
    person_with,
)
from flocksy.keys.register import (
    MAX_FORMER_KEYS,
    Entry,
    FormerKey,
    Register,
    Revoked,
    Trust,
)
from flocksy.keys.rotation import Rotation
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS


@dataclass(frozen=True, slots=True)
class Change:
    """What would be different, and the state after."""

    lines: tuple[str, ...]
    keystore: dict[str, str]
    register: Register
    more_nodes: tuple[str, ...] = ()
    """Endpoints that the configuration must name from now on, and those that it must not."""
    fewer_nodes: tuple[str, ...] = ()
    replaces: str | None = None
    """The name of a member whose key would be another one, unannounced: to be allowed apart."""


def importing(
    known: Known, bundle: Bundle, trust: Trust = Trust.UNVERIFIED, *, name: str | None = None
) -> Change:
    """What a bundle would change. `name` is what to call the member here, if not as it says.

    Raises `KeyFileError` for a bundle that cannot be let in.
    """
    _refuse(known, bundle)
    name = name or bundle.name
    before = known.register.entry(bundle.public_key)
    is_known = bundle.public_key in known.keystore.values()
    keystore, register, lines = dict(known.keystore), known.register, []
    replaced = keystore.get(bundle.endpoint)
    if replaced == bundle.public_key or replaced in known.own_keys:
        replaced = None  # that was our own address once
    fewer: tuple[str, ...] = ()
    gone = None
    if replaced is not None:
        loser = person_with(known, replaced)
        gone = loser.name
        was = " (verified)" if loser.trust is not Trust.UNVERIFIED else ""
        lines += [
            f"REPLACES the key of {gone}{was} at {bundle.endpoint}:",
            f"    was {fingerprint_hex(replaced)}",
            f"    is  {fingerprint_hex(bundle.public_key)}",
            "  Ask its owner in person why: whoever can swap a key can read along.",
        ]
        left = [e for e, key in keystore.items() if key == replaced and e != bundle.endpoint]
        if not left:
            register = register.without(replaced)
    same_name = [
        one
        for one in people(known)
        if one.name == name and one.public_key not in (bundle.public_key, replaced)
    ]
    if same_name:
        raise KeyFileError(
            f"{name} is the name of another member here, at {same_name[0].endpoints[0]}; if both "
            "are right, call the new one something else here: --as NAME, with flocksy pair or with "
            "flocksy keys import of its bundle"
        )
    if before is not None and before.endpoint != bundle.endpoint:
        lines.append(f"MOVES {before.name} from {before.endpoint} to {bundle.endpoint}")
        if keystore.get(before.endpoint, bundle.public_key) == bundle.public_key:
            keystore.pop(before.endpoint, None)
            fewer = (before.endpoint,)  # else it is another member's by now
    elif before is None and replaced is None:
        adds = "NAMES" if is_known else "ADDS"
        lines.append(f"{adds} {name} at {bundle.endpoint}")
        lines.append(f"    {fingerprint_hex(bundle.public_key)}")
    if is_known and known.register.uid(bundle.public_key) != bundle.uid:
        lines.append(
            f"CHANGES the uid of {name}: the bundle says another first key than what was known; to "
            "members who have not imported it, that is somebody else"
        )
    if before is not None and before.name != name:
        lines.append(f"RENAMES {before.name} to {name}")
    if before is not None and before.trust is not Trust.UNVERIFIED:
        trust = before.trust if trust is Trust.UNVERIFIED else trust
    if before is not None and before.trust is not trust:
        lines.append(f"MARKS {name} as verified")
    keystore[bundle.endpoint] = bundle.public_key
    entry = Entry(
        public_key=bundle.public_key,
        name=name,
        endpoint=bundle.endpoint,
        trust=trust,
        since=before.since if before is not None and before.trust is trust else known.today,
        signature=bundle.signature if name == bundle.name else None,
        first_key=bundle.first_key,
        former=before.former if before is not None else (),
    )
    return Change(
        lines=tuple(lines),
        keystore=keystore,
        register=register.with_entry(entry),
        more_nodes=(bundle.endpoint,),
        fewer_nodes=fewer,
        replaces=gone,
    )


def rotating(known: Known, rotation: Rotation) -> Change:
    """What a member's announcement would change. Raises `KeyFileError` where it is not for us."""
    bundle = rotation.bundle
    _refuse(known, bundle, rotated_from=rotation.old_key)
    keystore = {
        endpoint: bundle.public_key if key == rotation.old_key else key
        for endpoint, key in known.keystore.items()
    }
    there = known.register.entry(bundle.public_key)
    if there is not None:
        return _rotating_again(known, rotation, there, keystore)
    if rotation.old_key not in known.keystore.values():
        raise KeyFileError(
            f"the announcement of {bundle.name} is signed by a key that nobody here has; ask for "
            "its bundle, or for the announcements before this one"
        )
    old = person_with(known, rotation.old_key)
    if known.register.uid(rotation.old_key) != bundle.uid:
        raise KeyFileError(f"the announcement of {bundle.name} speaks of another member's key")
    if rotation.until < known.today:
        raise KeyFileError(
            f"the announcement of {bundle.name} ended on {rotation.until}; ask for its bundle"
        )
    before = old.entry
    older = tuple(
        former for former in (before.former if before else ()) if known.today <= former.until
    )
    endpoint = before.endpoint if before is not None else old.endpoints[0]
    entry = Entry(
        public_key=bundle.public_key,
        name=before.name if before is not None else bundle.name,
        endpoint=endpoint,
        trust=old.trust,
        since=before.since if before is not None else known.today,
        signature=bundle.signature
        if (old.name, endpoint) == (bundle.name, bundle.endpoint)
        else None,
        first_key=bundle.first_key,
        former=(FormerKey(rotation.old_key, rotation.until), *older)[:MAX_FORMER_KEYS],
    )
    return Change(
        lines=_rotates(old.name, old.trust, rotation),
        keystore=keystore,
        register=known.register.with_entry(entry, instead_of=rotation.old_key),
    )


def _rotating_again(
    known: Known, rotation: Rotation, there: Entry, keystore: dict[str, str]
) -> Change:
    """Of an announcement whose key is known: what a command that was stopped has left undone, and a
    later day for the old key."""
    former = next((one for one in there.former if one.public_key == rotation.old_key), None)
    if former is None:
        return Change((), dict(known.keystore), known.register)
    lines: tuple[str, ...] = ()
    if keystore != known.keystore:  # such a command has perhaps written the register only
        lines = _rotates(there.name, there.trust, rotation)
    if rotation.until <= former.until:
        return Change(lines, keystore, known.register)
    if former.until < known.today:
        raise KeyFileError(
            f"the old key of {there.name} was accepted until {former.until}, and comes back by no "
            "announcement; its owner takes the new one with flocksy keys rotate --switch"
        )
    kept = tuple(
        dataclasses.replace(one, until=rotation.until) if one is former else one
        for one in there.former
    )
    return Change(
        lines or (f"KEEPS the old key of {there.name} accepted until {rotation.until}",),
        keystore,
        known.register.with_entry(dataclasses.replace(there, former=kept)),
    )


def _rotates(name: str, trust: Trust, rotation: Rotation) -> tuple[str, ...]:
    return (
        f"ROTATES the key of {name} ({trust.word}), as its old key says:",
        f"    was {fingerprint_hex(rotation.old_key)}",
        f"    is  {fingerprint_hex(rotation.bundle.public_key)}",
        f"  The old one is accepted until {rotation.until}.",
    )


def verifying(known: Known, person: Person) -> Change:
    """What a successful comparison changes."""
    entry = person.entry or Entry(
        public_key=person.public_key,
        name=_plain_name(person.endpoints[0], (one.name for one in people(known))),
        endpoint=person.endpoints[0],
        trust=Trust.UNVERIFIED,
        since=known.today,
    )
    trusted = dataclasses.replace(entry, trust=Trust.COMPARED, since=known.today)
    return Change(
        (f"{trusted.name}: verified",),
        dict(known.keystore),
        known.register.with_entry(trusted),
    )


def removing(known: Known, person: Person, *, revoke: bool = False) -> Change:
    """What is left without a member. Revoked, none of its keys comes back by an import."""
    register = known.register.without(person.public_key)
    if revoke:
        uid = known.register.uid(person.public_key)
        known_as = person.entry or person.revoked
        name = known_as.name if known_as else _plain_name(person.endpoints[0], ())
        former = person.entry.former if person.entry else ()
        gone = (person.public_key, *(one.public_key for one in former))
        there = {one.public_key for one in register.revoked}
        marks = tuple(Revoked(uid, key, name, known.today) for key in gone if key not in there)
        register = dataclasses.replace(register, revoked=(*register.revoked, *marks))
    word = "REVOKES" if revoke else "REMOVES"
    return Change(
        lines=(f"{word} {person.name} at {' and '.join(person.endpoints)}",),
        keystore={e: key for e, key in known.keystore.items() if key != person.public_key},
        register=register,
        fewer_nodes=person.endpoints,
    )


def pardoning(known: Known, text: str) -> Change:
    """What is different when the revocation of the one that `text` means is taken back."""
    meant = find_revoked(known.register, text)
    kept = tuple(one for one in known.register.revoked if one.uid != meant.uid)
    return Change(
        (f"LETS {meant.name} come back by an import",),
        dict(known.keystore),
        dataclasses.replace(known.register, revoked=kept),
    )


def _refuse(known: Known, bundle: Bundle, rotated_from: str | None = None) -> None:
    """Raises `KeyFileError` for a bundle that must not come in, whatever people say."""
    if bundle.public_key in known.own_keys:
        raise KeyFileError(f"the bundle of {bundle.name} is this node's own; import the others'")
    if bundle.endpoint in known.own_endpoints:
        raise KeyFileError(
            f"the bundle of {bundle.name} has this node's endpoint {bundle.endpoint}, but another "
            "key; one of the two machines has the wrong hostname"
        )
    revoked = known.register.revocation(bundle.uid, bundle.public_key)
    if revoked is not None:
        raise KeyFileError(
            f"{revoked.name} was revoked here on {revoked.since}; to let it in again, first "
            f"flocksy keys revoke --undo {name_of_revoked(known.register, revoked)}"
        )
    if bundle.public_key in SAMPLE_PUBLIC_KEYS and not is_local(bundle.endpoint):
        raise KeyFileError(
            f"the bundle of {bundle.name} has a sample key, whose private half everybody knows; "
            "its owner must make one with flocksy --create-private-keys"
        )
    # The first key is what the bundle says: who has any key of a member could name another one.
    theirs = {bundle.uid, uid_of(bundle.public_key)}
    for key in {*known.keystore.values(), *known.own_keys}:
        if key == bundle.public_key:
            continue
        entry = known.register.entry(key)
        if entry is not None and bundle.public_key in {one.public_key for one in entry.former}:
            raise KeyFileError(
                f"the bundle of {bundle.name} has an old key of {entry.name}; where its owner says "
                f"that it is used again, first flocksy keys remove {entry.name}"
            )
        same = theirs & {known.register.uid(key), uid_of(key)}
        if same and key != rotated_from:
            raise KeyFileError(
                f"the bundle of {bundle.name} is of a member that has another key here; import "
                "the announcement of its rotation, or remove the member first"
            )


def _plain_name(endpoint: str, taken: Iterable[str]) -> str:
    """A name for a member that came without one: from its endpoint."""
    given = "".join(c if c.isalnum() else "-" for c in endpoint.partition("://")[2])
    base = given.strip("-")[:24].rstrip("-") or "member"
    used = set(taken)
    return next(
        name
        for name in (base, *(f"{base}-{number}" for number in range(2, len(used) + 3)))
        if name not in used
    )

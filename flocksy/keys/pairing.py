"""Pairing: from a few words read over the telephone to bundles that nobody can have exchanged.

No sockets and no clock here: bytes in, bytes out. `pairing_link` carries them.

Theory of operation. The *host* shows a code, drawn for this purpose, and listens; the *guest* is
told the code and connects. Both run SPAKE2 over it: each ends with a key, the same one if the codes
are the same, and nobody who watches or sits in between learns anything to try codes on at home.
Whoever wants to guess has to take part, and can try one code per run:

    host   -> guest   greeting: magic, nonce, turn
    guest  -> host    magic, its SPAKE2 message
    host   -> guest   its SPAKE2 message
    guest  -> host    confirmation: a MAC of all the above under a key from the common one
    host   -> guest   confirmation
    both              boxes, encrypted under keys from the common one: bundles, then an end

The guest confirms first, so that a wrong guess is seen by the host before it has said anything to
check the guess by; a guest that goes away instead has learnt nothing. A confirmation that is wrong
burns the code (`Invitation`): the same for a slip of the tongue, an attacker who guesses, and one
who changes what passes by. The guest's side of a code is one run anyway.

One code can serve several guests in turn. Every connection is a run of its own, bound to its nonce
and turn: nothing of one fits into another. What that costs: the code stays valid until all guests
are there, and each of them knows it, so that one of them could stand in for another. Who would not
trust them with that makes a code for each.

Every message has one fixed size that its place in the exchange tells: there is nothing to parse
before a key is confirmed, and the size of a bundle does not show.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Literal

import nacl.bindings
import nacl.exceptions
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from flocksy.errors import FlocksyError, HostileInput
from flocksy.keys.bundle import MAX_BUNDLE_BYTES, Bundle, decode_bundle, encode_bundle
from flocksy.keys.words import bytes_of, words_of
from flocksy.seam.limits import MAX_LANES

MAGIC = b"flocksy pair 1\r\n"
NONCE_BYTES = 16
TURN_BYTES = 2
GREETING_BYTES = len(MAGIC) + NONCE_BYTES + TURN_BYTES

CODE_WORDS = 4
"""32 bits: who takes part once in each of a thousand pairings guesses one in four million."""

MAX_TURNS = 64
"""Connections that one code takes, whoever they come from. A guest needs one."""

MAX_PLACES = MAX_LANES - 1
"""Guests of one code: all others of the largest flock."""

MAX_BUNDLES = 32
"""Bundles taken from the other side of one run."""

_PAKE_BYTES = 33
_MAC_BYTES = 32
_LENGTH_BYTES = 2
_PLAIN_BYTES = 1 + _LENGTH_BYTES + MAX_BUNDLE_BYTES
BOX_BYTES = _PLAIN_BYTES + nacl.bindings.crypto_secretbox_MACBYTES
_BUNDLE, _END = 1, 2

WRONG = (
    "the code was wrong, or somebody interfered: this code is burnt, nothing was exchanged; "
    "make a new one with flocksy pair"
)


class PairingError(FlocksyError):
    """The exchange cannot go on."""


class WrongCodeError(PairingError):
    """The two sides have no key in common: another code, or somebody in between."""

    def __init__(self) -> None:
        super().__init__(WRONG)


class NoPairingError(PairingError):
    """The other side does something else; nothing was tried."""


def new_code(random: Callable[[int], bytes]) -> bytes:
    """A fresh code, from a source of random bytes that nobody can foretell."""
    return random(CODE_WORDS)


def code_text(code: bytes) -> str:
    """The code as it is shown and said."""
    return "-".join(words_of(code))


def code_of(text: str) -> bytes:
    """The code that a person typed. ValueError, naming what is wrong with it."""
    code = bytes_of(text)
    if len(code) != CODE_WORDS:
        raise ValueError(f"a code has {CODE_WORDS} words, not {len(code)}")
    return code


class Run:
    """One side of one exchange with one other machine.

    Give what came to `feed` and send what `to_send` returns. Once `confirmed`, the other side is
    who knows the code: `send` bundles, read `bundles`, and `end`.
    """

    def __init__(self, side: Literal["host", "guest"], code: bytes) -> None:
        self._side = side
        self._other = "guest" if side == "host" else "host"
        self._code = code
        self._received = bytearray()
        self._out = bytearray()
        self._transcript = bytearray()
        self._key = b""
        self._sent_boxes = self._taken_boxes = 0
        self._awaited: tuple[int, Callable[[bytes], None]]
        self.said_confirmation = False
        """Ours is on its way: from here on the code is used up."""
        self.confirmed = False
        self.bundles: list[Bundle] = []
        self.ended = False
        """The other side has said all."""

    def to_send(self) -> bytes:
        """Bytes for the other side, once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    @property
    def missing_bytes(self) -> int:
        """How much of the next message is still to come; 0 after the end. Never read more."""
        return 0 if self.ended else self._awaited[0] - len(self._received)

    def feed(self, data: bytes) -> None:
        """Bytes from the other side, at most `missing_bytes`. Raises `PairingError`: hang up."""
        assert len(data) <= self.missing_bytes
        self._received += data
        size, take = self._awaited
        if len(self._received) == size:
            message = bytes(self._received)
            self._received.clear()
            take(message)

    def send(self, bundle: Bundle) -> None:
        """Encrypt a bundle for the other side, which has confirmed."""
        self._seal(_BUNDLE, encode_bundle(bundle).encode("utf-8"))

    def end(self) -> None:
        """Say that there is nothing more."""
        self._seal(_END, b"")

    def _say(self, data: bytes) -> None:
        self._transcript += data
        self._out += data

    def _agree(self, pake: SPAKE2_A | SPAKE2_B, message: bytes) -> None:
        try:
            self._key = pake.finish(message)
        except (SPAKEError, NotOnCurve, ValueError):
            raise WrongCodeError from None  # no honest side sends such a point

    def _derived(self, purpose: str) -> bytes:
        person = purpose.encode("ascii").ljust(hashlib.blake2b.PERSON_SIZE)
        transcript = bytes(self._transcript)
        return hashlib.blake2b(transcript, digest_size=32, key=self._key, person=person).digest()

    def _confirm(self) -> None:
        self._out += self._derived(f"{self._side} confirms")
        self.said_confirmation = True

    def _check(self, mac: bytes) -> None:
        if not hmac.compare_digest(mac, self._derived(f"{self._other} confirms")):
            raise WrongCodeError
        self.confirmed = True
        self._awaited = BOX_BYTES, self._take_box

    def _seal(self, kind: int, content: bytes) -> None:
        assert self.confirmed
        plain = bytes([kind]) + len(content).to_bytes(_LENGTH_BYTES, "big") + content
        nonce = _nonce(self._sent_boxes)
        self._sent_boxes += 1
        self._out += nacl.bindings.crypto_secretbox(
            plain.ljust(_PLAIN_BYTES, b"\0"), nonce, self._derived(f"{self._side} seals")
        )

    def _take_box(self, box: bytes) -> None:
        try:
            plain = nacl.bindings.crypto_secretbox_open(
                box, _nonce(self._taken_boxes), self._derived(f"{self._other} seals")
            )
        except nacl.exceptions.CryptoError:
            raise WrongCodeError from None
        self._taken_boxes += 1
        length = int.from_bytes(plain[1 : 1 + _LENGTH_BYTES], "big")
        content = plain[1 + _LENGTH_BYTES :]
        # The other side knows the code, and may still be broken or of a newer version.
        if plain[0] == _END and not length:
            self.ended = True
        elif plain[0] == _BUNDLE and length <= len(content) and len(self.bundles) < MAX_BUNDLES:
            try:
                self.bundles.append(decode_bundle(content[:length].decode("utf-8")))
            except (HostileInput, UnicodeDecodeError) as error:
                raise PairingError(
                    f"the other machine sent a bundle that is none ({error}); use the same flocksy "
                    "on both"
                ) from None
        else:
            raise PairingError(
                "the other machine sent what we do not understand; use the same flocksy on both"
            )


class HostRun(Run):
    """The side that made the code. `Invitation.connected` makes it."""

    def __init__(self, code: bytes, nonce: bytes, turn: int) -> None:
        super().__init__("host", code)
        self._context = nonce + turn.to_bytes(TURN_BYTES, "big")
        self._say(MAGIC + self._context)
        self._awaited = len(MAGIC) + _PAKE_BYTES, self._take_pake

    def _take_pake(self, message: bytes) -> None:
        if not message.startswith(MAGIC):
            raise NoPairingError("something connected that is no flocksy, or of another version")
        self._transcript += message
        pake = SPAKE2_A(self._code, *_ids(self._context))
        self._say(pake.start())
        self._agree(pake, message[len(MAGIC) :])
        self._awaited = _MAC_BYTES, self._take_mac

    def _take_mac(self, mac: bytes) -> None:
        self._check(mac)
        self._confirm()


class GuestRun(Run):
    """The side that was told the code."""

    def __init__(self, code: bytes) -> None:
        super().__init__("guest", code)
        self._pake: SPAKE2_B | None = None
        self._awaited = GREETING_BYTES, self._take_greeting

    def _take_greeting(self, message: bytes) -> None:
        if not message.startswith(MAGIC):
            raise NoPairingError(
                "what answers there is no flocksy that pairs, or of another version; look at the "
                "address, nothing was tried"
            )
        self._transcript += message
        self._pake = SPAKE2_B(self._code, *_ids(message[len(MAGIC) :]))
        self._say(MAGIC + self._pake.start())
        self._awaited = _PAKE_BYTES, self._take_pake

    def _take_pake(self, message: bytes) -> None:
        assert self._pake is not None
        self._transcript += message
        self._agree(self._pake, message)
        self._confirm()
        self._awaited = _MAC_BYTES, self._check


class Invitation:
    """One code on the host: how many it may still let in, and whether it is still good."""

    def __init__(
        self, code: bytes, places: int, until: float, random: Callable[[int], bytes]
    ) -> None:
        """`until`: when it ends, on the caller's clock in seconds."""
        assert 1 <= places <= MAX_PLACES
        self._code = code
        self._random = random
        self._turns = 0
        self._until = until
        self.places = places
        """Machines that may still come."""
        self.burnt = False

    def open(self, now: float) -> bool:
        """Whether somebody may still come with this code."""
        return not self.burnt and self.places > 0 and now < self._until

    def connected(self, now: float) -> HostRun | None:
        """A run for somebody who has connected; None when nobody is let in any more."""
        if not self.open(now):
            return None
        if self._turns == MAX_TURNS:
            self.burnt = True
            return None
        self._turns += 1
        return HostRun(self._code, self._random(NONCE_BYTES), self._turns)

    def joined(self) -> bool:
        """A run is confirmed. False where all places are taken: two may confirm at once."""
        if self.burnt or self.places == 0:
            return False
        self.places -= 1
        return True

    def failed(self, error: PairingError) -> None:
        """A run has ended in an error before it was confirmed, or after."""
        if isinstance(error, WrongCodeError):
            self.burnt = True


def _ids(context: bytes) -> tuple[bytes, bytes]:
    return b"flocksy pair 1 host " + context, b"flocksy pair 1 guest " + context


def _nonce(number: int) -> bytes:
    return number.to_bytes(nacl.bindings.crypto_secretbox_NONCEBYTES, "little")

"""Targets that take what people hand to each other about keys, and the key files themselves."""

from __future__ import annotations

import datetime
import os
import selectors
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from functools import cache, lru_cache, partial

import nacl.bindings
import nacl.utils
from nacl.exceptions import CryptoError
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import Element, NotOnCurve

from flocksy.errors import HostileInput, KeyFileError
from flocksy.keys import bundle as bundles
from flocksy.keys import pairing as pairings
from flocksy.keys import rotation as rotations
from flocksy.keys.bundle import (
    MAX_BUNDLE_BYTES,
    Bundle,
    decode_bundle,
    encode_bundle,
    find_bundles,
    make_bundle,
)
from flocksy.keys.endpoints import MAX_ENDPOINT_CHARACTERS, is_local, normal_endpoint
from flocksy.keys.files import (
    decode_keystore,
    decode_private_keys,
    encode_keystore,
    encode_private_keys,
)
from flocksy.keys.pair import KeyPair
from flocksy.keys.pairing import (
    BOX_BYTES,
    CODE_WORDS,
    MAGIC,
    MAX_BUNDLES,
    NONCE_BYTES,
    GuestRun,
    HostRun,
    Invitation,
    PairingError,
    Run,
    code_of,
    code_text,
)
from flocksy.keys.pairing_find import ASK, TOKEN_BYTES, answer_to, read_answer, waiting
from flocksy.keys.pairing_link import PairingHost
from flocksy.keys.register import (
    Entry,
    FormerKey,
    Register,
    Revoked,
    Trust,
    decode_register,
    encode_register,
)
from flocksy.keys.rotation import decode_rotation, encode_rotation, find_rotations, make_rotation
from flocksy.keys.seal import seal
from flocksy.keys.signature import is_signed
from flocksy.keys.words import WORDS, bytes_of, words_of
from flocksy.keys.z85 import decode_key, encode_key
from tests.fuzz.pipes import Pipe, Watch
from tests.fuzz.target import DEEPER, Feed, Target, instead

DAY = datetime.date(2026, 12, 5)


@cache
def pair(number: int) -> KeyPair:
    """A pair that is the same in every run."""
    secret = bytes([number]) * 32
    public = nacl.bindings.crypto_scalarmult_base(secret)
    return KeyPair(encode_key(public), encode_key(secret))


def _believed(*_: object) -> bool:
    """In place of the check of a signature, which no fuzzer gets past."""
    return True


_checked = lru_cache(1024)(is_signed)
"""The check, once for the signatures that most inputs have in common."""

_encoded = lru_cache(1024)(encode_bundle)
"""A host tells every guest the same bundle."""


def bundle(data: bytes) -> None:
    """A bundle that is accepted is written as it was read; words and bounds hold."""
    feed = Feed(data)
    believe = feed.number() & 1
    text = feed.rest().decode("utf-8", "replace")
    with instead((bundles, "is_signed", _believed if believe else _checked)):
        try:
            found = decode_bundle(text)
        except HostileInput:
            return
        assert decode_bundle(encode_bundle(found)) == found
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    assert encode_bundle(found).splitlines() == lines
    assert normal_endpoint(found.endpoint) == found.endpoint


def text_with_bundles(data: bytes) -> None:
    """Bundles and announcements are found in any text, or it is refused in words."""
    feed = Feed(data)
    believe = feed.number() & 1
    text = feed.rest().decode("utf-8", "replace")
    check = _believed if believe else _checked
    with instead((bundles, "is_signed", check), (rotations, "is_signed", check)):
        try:
            found = find_bundles(text)
        except HostileInput:
            found = ()
        assert len(found) <= bundles.MAX_BUNDLES
        for one in found:
            assert decode_bundle(encode_bundle(one)) == one
        try:
            announced = find_rotations(text)
        except HostileInput:
            announced = ()
        assert len(announced) <= rotations.MAX_ROTATIONS
        for other in announced:
            assert decode_rotation(encode_rotation(other)) == other


@cache
def _bundles() -> tuple[Bundle, ...]:
    first = pair(3).public_key
    with _no_chance():
        return (
            make_bundle(pair(1), "anna", "tcp://anna.example:5000"),
            make_bundle(pair(2), "ben-2", "ipc:///run/ben", first_key=first),
            make_bundle(pair(2), "ünal", "tcp://[::1]:1"),
        )


def _no_chance() -> AbstractContextManager[None]:
    """What is signed and sealed is the same in every run, and so are the seeds."""
    return instead((os, "urandom", bytes), (nacl.utils, "random", bytes))


def bundle_texts() -> Iterable[bytes]:
    """Signed ones, and the same to be believed."""
    for one in _bundles():
        for believe in (b"\0", b"\1"):
            yield believe + encode_bundle(one).encode()


def rotation_texts() -> Iterable[bytes]:
    """An announcement alone, and beside bundles in a mail."""
    with _no_chance():
        announced = make_rotation(pair(3), pair(2), pair(3).public_key, "ben", "tcp://b:1", DAY)
    text = encode_rotation(announced).encode()
    mail = b"Hello,\r\n\r\n" + b"\n".join(encode_bundle(one).encode() for one in _bundles())
    for believe in (b"\0", b"\1"):
        yield believe + text
        yield believe + mail + text
        yield believe + mail


def register(data: bytes) -> None:
    """A register that is accepted is the same when it is written and read again."""
    try:
        found = decode_register(data)
    except ValueError as error:
        assert str(error), "in words"
        return
    assert decode_register(encode_register(found).encode()) == found
    for entry in found.entries:
        assert len(entry.uid) == 128


def registers() -> Iterable[bytes]:
    """With entries of every kind, and empty."""
    keys = [pair(number).public_key for number in range(1, 5)]
    yield encode_register(Register()).encode()
    yield encode_register(
        Register(
            (
                Entry(keys[0], "anna", "tcp://anna.example:5000", Trust.COMPARED, DAY, b"s" * 64),
                Entry(
                    keys[1],
                    "ben",
                    "ipc:///run/ben",
                    Trust.UNVERIFIED,
                    DAY,
                    None,
                    keys[2],
                    (FormerKey(keys[2], DAY),),
                ),
            ),
            (Revoked("0123456789abcdef" * 8, keys[3], "cleo", DAY),),
        )
    ).encode()


def keystore(data: bytes) -> None:
    """A keystore that is accepted is the same when it is written and read again."""
    try:
        text = data.decode("utf-8")
        found = decode_keystore(text, "keystore")
    except UnicodeDecodeError:
        return
    except KeyFileError as error:
        assert "\n" not in str(error)
        return
    assert decode_keystore(encode_keystore(found), "keystore") == found


def keystores() -> Iterable[bytes]:
    """The original's form, and what a person may make of it."""
    keys = {f"tcp://host{number}:5000": pair(number).public_key for number in range(1, 4)}
    yield encode_keystore(keys).encode()
    yield b'{"host:1":"' + pair(1).public_key.encode() + b'"}'
    yield b"{}"
    yield b'{"a:1": 123, "b:1": [1.5e3, true, null, "\\ud800", {"c": -1}]}'


def private_keys(data: bytes) -> None:
    """Private keys that are accepted are the same when written and read again; no word of an
    error holds one."""
    try:
        text = data.decode("utf-8")
        found = decode_private_keys(text, "private_keys")
    except UnicodeDecodeError:
        return
    except KeyFileError as error:
        assert "\n" not in str(error)
        assert pair(1).private_key not in str(error)
        return
    assert decode_private_keys(encode_private_keys(found), "private_keys") == found


def private_key_files() -> Iterable[bytes]:
    """Open, sealed, rotated."""
    with _no_chance():
        sealed = seal(pair(2).private_key, b"word", operations=1, memory_bytes=8192)
    first = pair(3).public_key
    yield encode_private_keys({"tcp://a:1": pair(1), "ipc:///a": pair(1)}).encode()
    yield encode_private_keys(
        {
            "tcp://b:2": KeyPair(pair(2).public_key, "", sealed, first),
            "tcp://a:1": KeyPair(pair(1).public_key, pair(1).private_key, first_key=first),
        }
    ).encode()


def endpoint(data: bytes) -> None:
    """The form of an endpoint is one: making it so again changes nothing."""
    try:
        found = normal_endpoint(data.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        assert str(error)
        return
    assert normal_endpoint(found) == found
    assert len(found) <= MAX_ENDPOINT_CHARACTERS + len("tcp://")
    is_local(found)


def endpoints() -> Iterable[bytes]:
    """Of all kinds."""
    texts = (
        "anna.example:5000|tcp://[fe80::1%eth0]:1|ipc:///run/x|*:65535|tcp://1.2.3.4:05|ü.example:1"
    )
    return (text.encode() for text in texts.split("|"))


def words(data: bytes) -> None:
    """Words mean one number, a key has one text."""
    text = data.decode("utf-8", "replace")
    try:
        code = bytes_of(text)
    except ValueError as error:
        assert str(error)
    else:
        assert bytes_of(" ".join(words_of(code))) == code
        assert len(code) <= len(text)
    try:
        assert code_text(code_of(text))
    except ValueError as error:
        assert str(error)
    try:
        key = decode_key(text)
    except ValueError as error:
        assert str(error)
    else:
        assert encode_key(key) == text


def word_texts() -> Iterable[bytes]:
    """A code, cut words, a key."""
    return (b"acorn-zebra-wolf-tulip", b"ACO zeb, wolf  tuli", pair(1).public_key.encode())


def datagram(data: bytes) -> None:
    """A question gets an answer that can be read, every other datagram none."""
    ending = waiting(b"pairing.", 5000)
    answer = answer_to(data, ending)
    if answer is not None:
        assert read_answer(answer, data[-TOKEN_BYTES:]) == (b"pairing.", 5000)
    found = read_answer(data, b"question")
    if found is not None:
        assert 1 <= found[1] <= 65535


def datagrams() -> Iterable[bytes]:
    """One of each kind."""
    question = ASK + b"question"
    answer = answer_to(question, waiting(b"pairing.", 5000))
    assert answer is not None
    return (question, answer)


CODE = bytes(range(CODE_WORDS))
_PLAIN_BYTES = BOX_BYTES - nacl.bindings.crypto_secretbox_MACBYTES


def pairing(data: bytes) -> None:
    """Before the other side has confirmed nothing is taken from it, however its bytes come in."""
    with instead(
        (pairings, "SPAKE2_A", partial(SPAKE2_A, entropy_f=_same)),
        (pairings, "SPAKE2_B", partial(SPAKE2_B, entropy_f=_same)),
        (Element, "scalarmult", _multiplied),
    ):
        _pairing(Feed(data))


def _same(count: int) -> bytes:
    """In place of chance: with it every input is judged alike each time."""
    return bytes(range(count))


_multiply = Element.scalarmult


@lru_cache(16)
def _product(point: tuple[int, ...], number: int) -> Element:
    return _multiply(Element(point), number)


def _multiplied(point: Element, number: int) -> Element:
    """The product, once for what the code and `_same` make the same for all inputs: two of three,
    or all where the other side sends no point."""
    return _product(point.XYTZ, number)


def _pairing(feed: Feed) -> None:
    run: Run = HostRun(CODE, bytes(NONCE_BYTES), 1) if feed.number() & 1 else GuestRun(CODE)
    with suppress(PairingError):
        _feed_in_pieces(run, feed)
    assert not run.confirmed and not run.bundles
    assert len(run.to_send()) <= 200


class _Pake:
    """In place of SPAKE2, which takes some milliseconds: refuses what comes with the same errors,
    as its first bytes have it, and agrees with everybody else."""

    own, other = b"A", b"B"

    def __init__(self, code: bytes, host: bytes, guest: bytes) -> None:
        assert len(code) == CODE_WORDS and host != guest

    def start(self) -> bytes:
        return self.own + bytes(32)

    def finish(self, message: bytes) -> bytes:
        assert len(message) == 33
        if message[:1] != self.other:
            raise SPAKEError
        match message[1]:
            case 0:
                raise NotOnCurve
            case 1:
                raise ValueError
        return bytes(32)


class _GuestPake(_Pake):
    own, other = b"B", b"A"


def greeting(data: bytes) -> None:
    """The same, with a key agreement that costs nothing."""
    with instead((pairings, "SPAKE2_A", _Pake), (pairings, "SPAKE2_B", _GuestPake)):
        _pairing(Feed(data))


def _feed_in_pieces(run: Run, feed: Feed) -> None:
    while feed.left and not run.ended:
        run.feed(feed.take(min(1 + feed.number(), run.missing_bytes)))


def greetings() -> Iterable[bytes]:
    """What both sides say first, whole and in pieces."""
    greeting = MAGIC + bytes(NONCE_BYTES) + b"\0\1"
    yield b"\0\xff" + greeting
    yield b"\0\x0f" + greeting[:16] + b"\xff" + greeting[16:] + b"\xff" + bytes(33)
    yield b"\1\xff" + MAGIC + b"B" + bytes(32)
    yield b"\1\x04" + MAGIC[:5] + b"\xff" + MAGIC[5:]


def _sealed(plain: bytes, nonce: bytes, key: bytes) -> bytes:
    """In place of secretbox, which costs as much as what is done with its content: shows it, with
    nonce and key in front."""
    return _tag(nonce, key) + plain


def _opened(box: bytes, nonce: bytes, key: bytes) -> bytes:
    tag = _tag(nonce, key)
    if not box.startswith(tag):
        raise CryptoError
    return box[len(tag) :]


def _tag(nonce: bytes, key: bytes) -> bytes:
    return (nonce[:2] + key)[: nacl.bindings.crypto_secretbox_MACBYTES]


_OPEN = (
    (nacl.bindings, "crypto_secretbox", _sealed),
    (nacl.bindings, "crypto_secretbox_open", _opened),
)


def boxes(data: bytes) -> None:
    """Who knows the code may be broken or of another version: what it says is taken whole, refused
    in words, and never more than there are members."""
    with instead((bundles, "is_signed", _believed), *_OPEN):
        _boxes(Feed(data))


def _boxes(feed: Feed) -> None:
    run = GuestRun(CODE)
    run._key = b"k" * 32  # as after SPAKE2
    run._check(run._derived("host confirms"))
    key = run._derived("host seals")
    for number in range(1 + MAX_BUNDLES):
        if not feed.left:
            break
        plain = feed.take(1 + feed.number(2) % 800).ljust(_PLAIN_BYTES, b"\0")
        nonce = number.to_bytes(nacl.bindings.crypto_secretbox_NONCEBYTES, "little")
        box = nacl.bindings.crypto_secretbox(plain, nonce, key)
        cut = feed.number(2) % BOX_BYTES
        try:
            run.feed(box[:cut])
            run.feed(box[cut:])
        except PairingError as error:
            assert "\n" not in str(error)
            return
        if run.ended:
            break
    assert len(run.bundles) <= MAX_BUNDLES
    for one in run.bundles:
        assert len(encode_bundle(one)) <= MAX_BUNDLE_BYTES


class _Listener:
    """Gives the connections it was made with, one after the other."""

    def __init__(self, guests: list[Pipe]) -> None:
        self._guests = guests

    def accept(self) -> tuple[Pipe, object]:
        if not self._guests:
            raise BlockingIOError
        return self._guests.pop(), None


def guest(data: bytes) -> None:
    """A host takes one bundle of a guest who knows the code and is broken; whatever else it says,
    and in whatever pieces, ends that connection and nothing more."""
    with instead(
        (selectors, "DefaultSelector", Watch),
        (bundles, "is_signed", _checked),
        (pairings, "encode_bundle", _encoded),
        *_OPEN,
    ):
        _guest(Feed(data))


def _guest(feed: Feed) -> None:
    invitation = Invitation(CODE, 2, 10.0, bytes)
    pipe = Pipe()
    joined: list[Bundle] = []
    listener = _Listener([pipe])
    host = PairingHost(
        listener,  # type: ignore[arg-type]  # all that is asked of it
        invitation,
        _bundles()[0],
        joined.append,
        now=lambda: 0.0,
    )
    try:
        host._accept()
        (known,) = host._guests
        run = known.run
        run._key = b"k" * 32  # as after SPAKE2
        run._check(run._derived("guest confirms"))
        host._progress(known)
        key = run._derived("guest seals")
        for number in range(4):
            if not feed.left:
                break
            nonce = number.to_bytes(nacl.bindings.crypto_secretbox_NONCEBYTES, "little")
            plain = feed.take(1 + feed.number(2) % 800).ljust(_PLAIN_BYTES, b"\0")
            box = nacl.bindings.crypto_secretbox(plain, nonce, key)
            cut = feed.number(2) % BOX_BYTES
            for piece in (box[:cut], box[cut:]):
                if known not in host._guests:
                    break  # it has hung up
                pipe.coming += piece
                while known in host._guests and run.missing_bytes and piece:
                    before = run.missing_bytes
                    host._read(known)
                    if run.missing_bytes == before:
                        break
        assert invitation.places == 1
        assert len(joined) <= 1 and joined == host._all
    finally:
        for one in list(host._guests):
            host._drop(one)
        host._selector.close()
    assert pipe.closed


def boxed() -> Iterable[bytes]:
    """Bundles and an end."""
    said = b""
    for one in _bundles():
        content = encode_bundle(one).encode()
        plain = b"\1" + len(content).to_bytes(2, "big") + content
        said += (len(plain) - 1).to_bytes(2, "little") + plain + b"\7\0"
        yield said
    end = b"\2\0\0"
    yield said + (len(end) - 1).to_bytes(2, "little") + end + b"\0\0"


_LINES = (
    *(b"[flocksy bundle 1]\n", b"[end of bundle]\n", b"[flocksy rotation 1]\n"),
    *(b"[end of rotation]\n", b"name: ", b"endpoint: ", b"key: ", b"first-key: "),
    *(b"signature: ", b"old-key: ", b"until: ", b"old-signature: ", b"tcp://", b"ipc:///"),
)
_JSON = (
    *(b'"version": 1', b'"members": [', b'"revoked": [', b'"uid": "', b'"key": "', b'"name": "'),
    *(b'"endpoint": "', b'"trust": "', b'"since": "', b'"signature": "', b'"first_key": "'),
    *(b'"former": [', b'"until": "', b'"private_key": "', b'"public_key": "', b"\\ud800", b"1e999"),
    *(b'"private_key_sealed": "', b"argon2id$", b"2026-W01-1", b"unverified", b"null", b"true"),
)

TARGETS = (
    Target("datagram", "keys/pairing_find.py", datagram, datagrams, 64, (ASK,)),
    Target(
        "words", "keys/words.py, z85.py", words, word_texts, 200, tuple(w.encode() for w in WORDS)
    ),
    Target("endpoint", "keys/endpoints.py", endpoint, endpoints, 330, _LINES[-2:]),
    Target("bundle", "keys/bundle.py", bundle, bundle_texts, 1000, _LINES),
    Target("keystore", "keys/files.py", keystore, keystores, 600, _JSON),
    Target("private_keys", "keys/files.py, seal.py", private_keys, private_key_files, 800, _JSON),
    Target("register", "keys/register.py", register, registers, 1500, _JSON),
    Target("boxes", "keys/pairing.py", boxes, boxed, 1500, _LINES),
    Target("guest", "keys/pairing_link.py", guest, boxed, 1500, _LINES),
    Target("rotation", "keys/rotation.py", text_with_bundles, rotation_texts, 2500, _LINES),
    Target("greeting", "keys/pairing.py", greeting, greetings, 200, (MAGIC,)),
    Target("pairing", "keys/pairing.py", pairing, greetings, 200, (MAGIC,), DEEPER),
)

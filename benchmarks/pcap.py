"""TCP segments out of a capture file, as tcpdump writes it.

Read: the classic format with stamps in micro- or nanoseconds, Ethernet or raw IP, IPv4 and IPv6
(draft-ietf-opsawg-pcap). Anything that is not TCP is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MICROSECONDS = 0xA1B2C3D4
_NANOSECONDS = 0xA1B23C4D
_ETHERNET, _RAW = 1, 101
_IPV4, _IPV6, _TCP = 0x0800, 0x86DD, 6
_FILE = struct.Struct("<IHHiIII")
_PACKET = struct.Struct("<IIII")


class Segment(NamedTuple):
    """One TCP segment as it was seen."""

    ns: int
    """Since the Unix epoch."""
    source: tuple[str, int]
    target: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    window: int
    length: int
    """Bytes of payload it had, also where the capture holds fewer."""
    payload: bytes


SYN, FIN, RST, ACK = 0x02, 0x01, 0x04, 0x10


def segments(path: Path) -> Iterator[Segment]:
    """All TCP segments of a capture, in its order. Raises `ValueError` for another format."""
    with path.open("rb") as file:
        head = file.read(_FILE.size)
        if len(head) < _FILE.size:
            raise ValueError(f"{path}: too short for a capture")
        magic, _, _, _, _, _, link = _FILE.unpack(head)
        if magic not in (_MICROSECONDS, _NANOSECONDS) or link not in (_ETHERNET, _RAW):
            raise ValueError(f"{path}: not a capture of this machine's byte order, on Ethernet")
        unit = 1 if magic == _NANOSECONDS else 1000
        while len(head := file.read(_PACKET.size)) == _PACKET.size:
            seconds, fraction, kept, _ = _PACKET.unpack(head)
            data = file.read(kept)
            if link == _ETHERNET:
                kind, data = int.from_bytes(data[12:14], "big"), data[14:]
            else:
                kind = _IPV6 if data[:1] and data[0] >> 4 == 6 else _IPV4
            if found := _tcp(kind, data):
                source, target, body, size = found
                yield _segment(
                    seconds * 1_000_000_000 + fraction * unit, source, target, body, size
                )


def _tcp(kind: int, data: bytes) -> tuple[str, str, bytes, int] | None:
    """Addresses, TCP header and payload, and how many bytes that should be."""
    if kind == _IPV4 and len(data) >= 20 and data[9] == _TCP:
        start = (data[0] & 15) * 4
        size = int.from_bytes(data[2:4], "big") - start
        addresses = data[12:16], data[16:20]
        return *(".".join(map(str, a)) for a in addresses), data[start:], size  # type: ignore[return-value]
    if kind == _IPV6 and len(data) >= 40 and data[6] == _TCP:
        size = int.from_bytes(data[4:6], "big")
        return data[8:24].hex(":", 2), data[24:40].hex(":", 2), data[40:], size
    return None


def _segment(ns: int, source: str, target: str, body: bytes, size: int) -> Segment:
    ports = struct.unpack_from(">HH", body)
    sequence, acknowledged, offset, flags, window = struct.unpack_from(">IIBBH", body, 4)
    start = (offset >> 4) * 4
    return Segment(
        ns,
        (source, ports[0]),
        (target, ports[1]),
        sequence,
        acknowledged,
        flags,
        window,
        size - start,
        body[start : start + size - start],
    )


class Stream:
    """The bytes of one direction of one connection, put in order; what came twice counts once."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._early: dict[int, bytes] = {}
        self.retransmitted = 0
        """Segments with bytes that had been seen already."""

    def take(self, segment: Segment) -> bytes:
        """What this segment adds to the stream, with what had come too early before it."""
        if segment.flags & SYN:
            self._next = (segment.sequence + 1) & 0xFFFF_FFFF
        if self._next is None:
            self._next = segment.sequence  # the capture began in the middle
        if not segment.payload:
            return b""
        self._early.setdefault(segment.sequence, segment.payload)
        whole = bytearray()
        while self._early:
            at = next((a for a in self._early if (self._next - a) % (1 << 32) < 1 << 31), None)
            if at is None:
                break
            data = self._early.pop(at)
            known = (self._next - at) % (1 << 32)
            if known >= len(data):
                self.retransmitted += 1
                continue
            whole += data[known:]
            self._next = (at + len(data)) & 0xFFFF_FFFF
        return bytes(whole)

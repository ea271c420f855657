"""TCP segments out of a capture file, as tcpdump writes it.

Read: the classic format with stamps in micro- or nanoseconds, Ethernet or raw IP, IPv4 and IPv6
(draft-ietf-opsawg-pcap). Anything that is not TCP is passed over.
"""

from __future__ import annotations

import functools
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
_TCP_HEAD_BYTES = 20
_OPTIONS_END, _OPTION_NOTHING, _OPTION_STAMPS = 0, 1, 8


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
    hops: int
    """TTL, or the hop limit."""
    service: int
    """The byte of DSCP and ECN."""
    identification: int
    """Of the IP packet; 0 with IPv6."""
    stamp: int
    """TSval of TCP's time stamps; -1 without."""


SYN, FIN, RST, ACK = 0x02, 0x01, 0x04, 0x10


FILE_HEAD = _FILE.pack(_NANOSECONDS, 2, 4, 0, 0, 0xFFFF, _ETHERNET)
"""Of a capture that is written here: nanoseconds, Ethernet."""


def packet_head(ns: int, kept: int, whole: int) -> bytes:
    """What stands before `kept` bytes of a packet of `whole` ones."""
    return _PACKET.pack(ns // 1_000_000_000, ns % 1_000_000_000, kept, whole)


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
            packet = _tcp(kind, data)
            if packet is not None and len(packet.body) >= _TCP_HEAD_BYTES:
                yield _segment(seconds * 1_000_000_000 + fraction * unit, packet)


class _Packet(NamedTuple):
    source: str
    target: str
    body: bytes
    """TCP header and what was kept of the payload."""
    size: int
    """Bytes that the body should have."""
    hops: int
    service: int
    identification: int


def _tcp(kind: int, data: bytes) -> _Packet | None:
    if kind == _IPV4 and len(data) >= 20 and data[9] == _TCP:
        start = (data[0] & 15) * 4
        whole, identification = struct.unpack_from(">HH", data, 2)
        source, target = _dotted(data[12:16]), _dotted(data[16:20])
        return _Packet(
            source, target, data[start:], whole - start, data[8], data[1], identification
        )
    if kind == _IPV6 and len(data) >= 40 and data[6] == _TCP:
        size = int.from_bytes(data[4:6], "big")
        service = int.from_bytes(data[:2], "big") >> 4 & 0xFF
        source, target = data[8:24].hex(":", 2), data[24:40].hex(":", 2)
        return _Packet(source, target, data[40:], size, data[7], service, 0)
    return None


@functools.lru_cache(1024)
def _dotted(address: bytes) -> str:
    return ".".join(map(str, address))


def _segment(ns: int, packet: _Packet) -> Segment:
    source, target, body, size, hops, service, identification = packet
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
        body[start:size],
        hops,
        service,
        identification,
        _stamp(body[_TCP_HEAD_BYTES:start]),
    )


def _stamp(options: bytes) -> int:
    at = 0
    while at < len(options) and options[at] != _OPTIONS_END:
        if options[at] == _OPTION_NOTHING:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if options[at] == _OPTION_STAMPS and length == 10 and at + 10 <= len(options):
            return int.from_bytes(options[at + 2 : at + 6], "big")
        at += max(length, 2)
    return -1


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

"""Captures, read back: every field that the adversary looks at."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from benchmarks.pcap import ACK, FILE_HEAD, SYN, Segment, Stream, packet_head, segments

NS = 1_700_000_000_123_456_789
STAMPS = b"\1\1\x08\x0a" + struct.pack(">II", 4711, 815)
MANY_OPTIONS = b"\2\4\5\xb4\4\2\x08\x0a" + struct.pack(">II", 7, 0) + b"\1\3\3\7"


def tcp(payload: bytes, options: bytes = STAMPS, flags: int = ACK) -> bytes:
    head = struct.pack(
        ">HHIIBBHHH", 23500, 40000, 1000, 2000, (20 + len(options)) // 4 << 4, flags, 501, 0, 0
    )
    return head + options + payload


def ipv4(body: bytes, protocol: int = 6) -> bytes:
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x45,
        3,
        20 + len(body),
        77,
        0x4000,
        64,
        protocol,
        0,
        b"\n\0\0\1",
        b"\n\0\0\2",
    )
    return bytes(12) + b"\x08\x00" + head + body


def ipv6(body: bytes) -> bytes:
    head = struct.pack(">IHBB16s16s", 6 << 28 | 3 << 20, len(body), 6, 63, b"\1" * 16, b"\2" * 16)
    return bytes(12) + b"\x86\xdd" + head + body


def capture(place: Path, *frames: bytes, kept: int = 128, head: bytes = FILE_HEAD) -> Path:
    path = place / "a.pcap"
    packets = (packet_head(NS, len(f[:kept]), len(f)) + f[:kept] for f in frames)
    path.write_bytes(head + b"".join(packets))
    return path


def test_every_field_of_a_segment_is_read(tmp_path: Path) -> None:
    (segment,) = segments(capture(tmp_path, ipv4(tcp(b"x" * 1000))))
    assert segment._replace(payload=b"") == Segment(
        ns=NS,
        source=("10.0.0.1", 23500),
        target=("10.0.0.2", 40000),
        sequence=1000,
        acknowledged=2000,
        flags=ACK,
        window=501,
        length=1000,
        payload=b"",
        hops=64,
        service=3,
        identification=77,
        stamp=4711,
    )
    assert segment.payload == b"x" * (128 - 14 - 20 - 32)


def test_what_pads_a_short_frame_is_no_payload(tmp_path: Path) -> None:
    (segment,) = segments(capture(tmp_path, ipv4(tcp(b"")) + bytes(20)))
    assert (segment.length, segment.payload) == (0, b"")


def test_ipv6_is_read_as_well(tmp_path: Path) -> None:
    (segment,) = segments(capture(tmp_path, ipv6(tcp(b"abc"))))
    assert (segment.length, segment.hops, segment.service) == (3, 63, 3)
    assert segment.source[0].startswith("0101:")


@pytest.mark.parametrize(
    ("options", "stamp"),
    [
        (b"", -1),
        (STAMPS, 4711),
        (MANY_OPTIONS, 7),
        (b"\1\1\1\0", -1),
        (b"\x08\x0a\0\0", -1),  # cut off
        (b"\5\0\1\1", -1),  # an option that says it has no length
    ],
)
def test_time_stamps_are_found_among_the_options(
    tmp_path: Path, options: bytes, stamp: int
) -> None:
    (segment,) = segments(capture(tmp_path, ipv4(tcp(b"x", options, SYN))))
    assert segment.stamp == stamp


def test_what_is_not_tcp_is_passed_over(tmp_path: Path) -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    cut_off = ipv4(tcp(b"abc"))[:44]
    assert list(segments(capture(tmp_path, arp, ipv4(b"udp?" * 8, 17), cut_off))) == []


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        list(segments(capture(tmp_path, head=b"\n\r\r\n")))
    with pytest.raises(ValueError, match="not a capture"):
        list(segments(capture(tmp_path, head=bytes(24))))


def test_a_stream_is_put_in_order_and_counts_what_came_again(tmp_path: Path) -> None:
    (model,) = segments(capture(tmp_path, ipv4(tcp(b"x"))))
    stream = Stream()

    def take(at: int, text: bytes) -> bytes:
        return stream.take(model._replace(sequence=at, payload=text, length=len(text)))

    assert take(1000, b"one") == b"one"
    assert take(1006, b"three") == b""
    assert take(1003, b"two") == b"twothree"
    assert take(1003, b"two") == b""
    assert stream.retransmitted == 1

"""Reports arrive whole, whatever they say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flocksy.seam.limits import ADDRESS_BYTES, ERROR_TEXTS, TEXT_BYTES
from flocksy.seam.report import (
    AddressBlock,
    AgreedBurst,
    BoxReport,
    BoxReportBlock,
    LaneReport,
    LastBurst,
    SharedBlock,
    WireReport,
    WireReportBlock,
)

IDS = st.binary(min_size=8, max_size=8).filter(any)
U32 = st.integers(0, 2**32 - 1)
TEXTS = st.text(max_size=TEXT_BYTES)
OFFSETS = st.integers(-(2**31), 2**31 - 1)
LANES = st.builds(LaneReport, TEXTS, U32, U32, U32, OFFSETS, TEXTS, TEXTS, U32)
REPORTS = st.builds(
    WireReport,
    status=st.sampled_from([100, 102, 200, 410]),
    state=TEXTS,
    round=U32,
    epoch_number=U32,
    view=U32,
    eligible=U32,
    own_lane=st.just(1),
    real_allowed=st.booleans(),
    burst=st.none() | st.builds(AgreedBurst, IDS, U32, U32, U32, st.booleans()),
    burst_cells=U32,
    last_burst=st.none() | st.builds(LastBurst, IDS, st.booleans(), st.booleans()),
    cells_out_idle=U32,
    cells_out_burst=U32,
    late_us=st.integers(0, 2**31 - 1),
    lanes=st.tuples(LANES, LANES, LANES),
    errors=st.lists(TEXTS, max_size=ERROR_TEXTS).map(tuple),
    programme=st.integers(0, 255),
    away=U32,
)


@given(REPORTS)
def test_what_the_wire_writes_is_what_the_box_reads(report: WireReport) -> None:
    memory = memoryview(bytearray(WireReportBlock.bytes_for(3)))
    writer, reader = WireReportBlock(memory, 3, 1), WireReportBlock(memory, 3, 1)
    writer.write_slow(report)
    writer.write_hot(report)
    assert reader.read() == report
    assert reader.read() is reader.read()


def test_before_the_first_report_there_is_a_report() -> None:
    block = WireReportBlock(memoryview(bytearray(WireReportBlock.bytes_for(3))), 3, 2)
    assert block.read().state == "starting"
    assert len(block.read().lanes) == 3


@given(st.builds(BoxReport, U32, st.binary(min_size=32, max_size=32), st.booleans()))
def test_what_the_box_writes_is_what_the_wire_reads(report: BoxReport) -> None:
    memory = memoryview(bytearray(BoxReportBlock.bytes_for()))
    BoxReportBlock(memory).write(report)
    assert BoxReportBlock(memory).read() == report


def test_the_newest_address_of_each_lane_is_told_once() -> None:
    memory = memoryview(bytearray(AddressBlock.bytes_for(3)))
    writer, reader = AddressBlock(memory, 3), AddressBlock(memory, 3)
    assert reader.fresh() == []
    longest = "tcp://" + "a" * (ADDRESS_BYTES - 6)
    for lane in range(3):
        writer.write(lane, longest)
    writer.write(1, "tcp://10.0.0.1:1")
    assert reader.fresh() == [(0, longest), (1, "tcp://10.0.0.1:1"), (2, longest)]
    assert reader.fresh() == []
    writer.write(1, "tcp://10.0.0.1:1")
    assert reader.fresh() == []


def test_a_writer_that_died_in_the_middle_leaves_the_last_whole_value() -> None:
    memory = memoryview(bytearray(SharedBlock.bytes_for(8)))
    writer, reader = SharedBlock(memory), SharedBlock(memory)
    writer.write(b"complete")
    assert reader.read()[:8] == b"complete"
    memory[:8].cast("Q")[0] += 1
    memory[64:68] = b"torn"
    assert reader.read()[:8] == b"complete"

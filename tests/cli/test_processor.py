"""What `flocksy check` says of the kernel and of the groups that share the processor out."""

from __future__ import annotations

import sys

import pytest

from flocksy.cli import processor

V1 = "4:memory:/x\n2:cpu,cpuacct:{}\n1:name=systemd:/user.slice/session-1.scope\n0::/\n"
UNIT = "/system.slice/flocksy.service"


@pytest.mark.parametrize(
    ("release", "noted"),
    [
        ("5.15.0-91-generic", True),
        ("6.6.87.2-microsoft-standard-WSL2", True),
        ("6.11.0", True),
        ("6.12", False),
        ("6.12-rc1", False),
        ("6.18.44-fc", False),
        ("7.0.0", False),
        ("unheard of", False),
    ],
)
def test_a_kernel_without_short_slices_is_noted(release: str, *, noted: bool) -> None:
    (*said,) = processor.notes(release, "0::/\n", lambda _: False)
    assert [one.level for one in said] == ["note"] * noted
    assert all(release in one.text and "6.12" in one.remedy for one in said)


@pytest.mark.parametrize(
    ("release", "measured"),
    [("5.15.0-91-generic", False), ("6.5.13", False), ("6.6.87", True), ("unheard of", True)],
)
def test_what_was_measured_is_not_said_of_other_kernels(release: str, *, measured: bool) -> None:
    for one in processor.notes(release, "0::/x\n", lambda _: True):
        assert ("are some ms late" in one.text) == measured
        assert ("not measured" in one.text) == (not measured)


def test_it_is_said_of_this_shell_and_not_of_a_service() -> None:
    (one,) = processor.notes("6.12", "0::/x\n", lambda _: True)
    assert "from this shell" in one.text and "as a service" in one.text
    assert "CPUWeight" not in one.remedy, "with systemd everything is in a group by now"


@pytest.mark.parametrize(
    ("groups", "sharing", "group"),
    [
        ("0::/\n", set(), None),
        ("0::/\n", {"/"}, "/"),
        (f"0::{UNIT}\n", {UNIT, "/system.slice"}, UNIT),
        (f"0::{UNIT}\n", {"/system.slice"}, "/system.slice"),
        (f"0::{UNIT}\n", set(), None),
        ("0::/a:b::c\n", {"/a:b::c"}, "/a:b::c"),
        ("0::/../other\n", {"/../other", "/"}, None),
        (V1.format("/"), {"/"}, None),
        (V1.format("/docker/1f"), set(), "/docker/1f"),
        ("2:cpuset:/x\n3:cpuacct:/y\n0::/\n", set(), None),
        ("", {"/"}, None),
    ],
    ids=[
        "the whole machine",
        "a container",
        "a unit with a weight",
        "a unit in a slice with one",
        "units that share nothing out",
        "colons",
        "outside of what is seen here",
        "version 1, the whole machine",
        "version 1, a container",
        "version 1, other controllers",
        "no groups",
    ],
)
def test_the_group_that_has_the_processor_to_share_out(
    groups: str, sharing: set[str], group: str | None
) -> None:
    assert processor.group_of(groups, sharing.__contains__) == group
    (*said,) = processor.notes("6.12", groups, sharing.__contains__)
    assert [one.level for one in said] == ["note"] * (group is not None)
    assert all(f"group {group}," in one.text and one.remedy for one in said)


@pytest.mark.skipif(sys.platform != "linux", reason="groups of Linux")
def test_here_it_says_something_or_nothing() -> None:
    assert {one.level for one in processor.processor_findings()} <= {"note"}

"""Paths from peers, and the names of conflict copies."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flocksy.errors import HostileInput
from flocksy.sync.names import (
    MAX_STEP,
    ancestors,
    check_path,
    conflict_name,
    decode_path,
    encode_path,
    in_repository,
    owner_of_copy,
)

names = st.binary(min_size=1, max_size=255).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
ids = st.binary(min_size=16, max_size=16)


def good(path: str) -> bool:
    try:
        check_path(path)
    except HostileInput:
        return False
    return True


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        "a\0b",
        "x" * 256,
        "ü" * 128,
        "/".join("x" * 200 for _ in range(21)),
        "/".join("x" for _ in range(129)),
        ".flocksy",
        ".flocksy/marker",
        ".Flocksy/marker",
    ],
)
def test_what_is_no_path_inside_a_box_is_refused(path: str) -> None:
    with pytest.raises(HostileInput):
        decode_path(encode_path(path))


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a b/ü/😀",
        "...",
        "..a",
        "x" * 255,
        "a/.flocksy",
        ".flocksyx",
        "\udcff\udcfe",
        "a\nb",
        "C:\\",
    ],
)
def test_what_a_linux_disk_holds_is_a_path(path: str) -> None:
    assert decode_path(encode_path(path)) == path


@given(st.binary(max_size=300))
def test_bytes_that_pass_come_back_as_they_were(raw: bytes) -> None:
    try:
        path = decode_path(raw)
    except HostileInput:
        return
    assert encode_path(path) == raw


@given(
    st.lists(names, min_size=1, max_size=3),
    ids,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, MAX_STEP),
)
def test_a_conflict_name_is_a_path_beside_its_owner(
    parts: list[str], name: bytes, mtime_ns: int, step: int
) -> None:
    path = "/".join(parts)
    assume(good(path))
    copy = conflict_name(path, name, mtime_ns, step)
    assert len(encode_path(copy.rpartition("/")[2])) <= 255
    assert encode_path(copy).decode("utf-8", "surrogateescape") == copy
    assert copy.rpartition("/")[0] == path.rpartition("/")[0]
    found = owner_of_copy(copy)
    assert found is not None
    owner, sure = found
    if sure:
        assert owner == path
    assert conflict_name(path, name, mtime_ns, step) == copy


@pytest.mark.parametrize(
    ("path", "copy"),
    [
        ("a/report.txt", "a/report.conflict-20231114-000102.txt"),
        ("Makefile", "Makefile.conflict-20231114-000102"),
        (".bashrc", ".bashrc.conflict-20231114-000102"),
        ("x.tar.gz", "x.tar.conflict-20231114-000102.gz"),
        (
            "r.conflict-20200101-aaaaaa.txt",
            "r.conflict-20200101-aaaaaa.conflict-20231114-000102.txt",
        ),
    ],
)
def test_how_copies_are_called(path: str, copy: str) -> None:
    assert conflict_name(path, bytes(range(16)), 1_700_000_000_000_000_000) == copy
    assert owner_of_copy(copy) == (path, True)


def test_the_owner_of_a_name_that_had_to_be_cut_is_never_sure() -> None:
    for tail in range(1, 12):  # continuation bytes without a beginning, where it is cut
        raw = b"x" * (255 - 20 - tail) + b"\x87" * tail + b"x" * 20
        path = raw.decode("utf-8", "surrogateescape")
        found = owner_of_copy(conflict_name(path, bytes(16), 0))
        assert found is not None and found[1] is False


def test_a_further_step_shows_more_of_the_id() -> None:
    assert conflict_name("a", bytes(range(16)), 0, 2) == "a.conflict-19700101-000102-0304"


@pytest.mark.parametrize(
    "name", ["a", "a.conflict", "a.conflict-x-y.txt", ".conflict-20200101-abcdef"]
)
def test_other_names_have_no_owner(name: str) -> None:
    assert owner_of_copy(name) is None


def test_repositories_are_known_by_a_directory_of_that_name() -> None:
    assert in_repository(".git/HEAD")
    assert in_repository("a/.hg/store/x")
    assert not in_repository("a/.git")
    assert not in_repository(".gitignore")


def test_ancestors_come_nearest_first() -> None:
    assert list(ancestors("a/b/c")) == ["a/b", "a"]
    assert list(ancestors("a")) == []

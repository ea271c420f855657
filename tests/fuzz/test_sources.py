"""A count is tied to the code it was counted for: the decoder, and what the target does with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import sources
from tests.fuzz.table import TARGETS

DECODER = "flocksy/boxes/apply/journal.py"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The root of a copy of the sources, which are looked at in place of the real ones."""
    for part in ("flocksy", "tests/fuzz"):
        ignored = shutil.ignore_patterns("__pycache__", "corpus")
        shutil.copytree(sources.ROOT / part, tmp_path / part, ignore=ignored)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    sources._definitions.cache_clear()
    yield tmp_path
    sources._definitions.cache_clear()


def changed(root: Path, path: str, old: str, new: str) -> set[str]:
    """The targets whose digest is another one with this change."""
    before = {name: sources.digest(target) for name, target in TARGETS.items()}
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new, 1))
    sources._definitions.cache_clear()
    return {name for name, target in TARGETS.items() if sources.digest(target) != before[name]}


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        (DECODER, "def _entry", "def _other", {"batch"}),
        ("flocksy/status/wording.py", "CONTROL_VERSION", "VERSION", {"request"}),
        ("flocksy/errors.py", "class BoxError", "class Box", set()),
        ("tests/fuzz/nodes.py", "def kept_batch(data", "def kept_batch(said", {"batch"}),
        ("tests/fuzz/nodes.py", "ROUNDS = 30", "ROUNDS = 31", {"round"}),
        ("tests/fuzz/nodes.py", "# all that is asked of it", "# said otherwise", set()),
    ],
)
def test_a_count_begins_anew_with(
    copied: Path, path: str, old: str, new: str, expected: set[str]
) -> None:
    assert changed(copied, path, old, new) == expected


def test_what_all_targets_use_is_code_of_all(copied: Path) -> None:
    found = changed(copied, "tests/fuzz/target.py", "self._at += count", "self._at += count + 0")
    assert {"packed", "ignore", "round"} <= found
    assert "batch" not in found, "it takes its input as it is"


def test_each_target_counts_for_its_decoder() -> None:
    for target in TARGETS.values():
        assert f"flocksy/{target.of.split(', ')[0]}" in sources.modules(target)
    assert "flocksy/keys/seal.py" in sources.modules(TARGETS["private_keys"])
    assert "flocksy/protocol/header.py" in sources.modules(TARGETS["cell"])

"""The state directory: drawn once, found again, held by one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flocksy.config.load import load, load_state_dir
from flocksy.config.state import AlreadyRunningError, claim, control_path
from flocksy.errors import ConfigError, FlocksyError
from tests.place import PLAIN, Place


def test_it_is_drawn_at_the_first_start_and_found_by_uid(place: Place) -> None:
    options = place.write(PLAIN)
    first, lock = claim(load(options))
    lock.close()
    assert Path(first.state_dir).parent == place.root / "home" / "state" / "flocksy"
    assert stat.S_IMODE(os.stat(first.state_dir).st_mode) == 0o700
    again = load(options)
    assert again.state_dir == first.state_dir
    assert load_state_dir(options) == first.state_dir
    assert Path(control_path(first.state_dir)).name == f"{Path(first.state_dir).name}.sock"


def test_two_first_starts_end_in_one_directory(place: Place) -> None:
    options = place.write(PLAIN)
    one, two = load(options), load(options)
    assert one.state_dir != two.state_dir
    one, lock = claim(one)
    lock.close()
    two, lock = claim(two)
    lock.close()
    assert one.state_dir == two.state_dir


def test_only_one_holds_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    options = place.write(PLAIN)
    monkeypatch.setattr("flocksy.config.state.PATIENCE_SECONDS", 0.0)
    _, lock = claim(load(options))
    with pytest.raises(AlreadyRunningError, match="runs already"):
        claim(load(options))
    lock.close()
    claim(load(options))[1].close()


def test_a_node_waits_for_a_command_that_only_looks(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = place.write(PLAIN)
    _, looking = claim(load(options))
    # It is done by the time at which the node looks again.
    monkeypatch.setattr("flocksy.system.locks.time.sleep", lambda _: looking.close())
    claim(load(options))[1].close()


def test_a_named_directory_belongs_to_one_node(place: Place) -> None:
    place.write(PLAIN)
    named = place.root / "named"
    settings, lock = claim(load(place.options(state_dir=str(named))))
    lock.close()
    assert settings.state_dir == str(named)
    assert len(Path(control_path(settings.state_dir)).stem) == 16
    (named / "uid").write_text("somebody else\n")
    with pytest.raises(ConfigError, match="of another node"):
        load(place.options(state_dir=str(named)))


@pytest.mark.parametrize("version", ["2\n", "", "next", "\xff", "1.5"])
def test_the_state_of_a_newer_flocksy_is_refused_and_left_as_it_is(
    place: Place, version: str
) -> None:
    options = place.write(PLAIN)
    settings, lock = claim(load(options))
    lock.close()
    state = Path(settings.state_dir)
    assert (state / "version").read_text() == "1\n"
    (state / "version").write_text(version, encoding="latin-1")
    before = {one.name: one.read_bytes() for one in state.iterdir()}
    for _ in range(2):
        with pytest.raises(FlocksyError, match="newer flocksy") as caught:
            claim(load(options))
        assert "\n" not in str(caught.value) and str(state) in str(caught.value)
    assert {one.name: one.read_bytes() for one in state.iterdir()} == before
    (state / "version").write_text("1\n")
    claim(load(options))[1].close()


def test_a_state_from_before_versions_were_written_down_is_used(place: Place) -> None:
    options = place.write(PLAIN)
    settings, lock = claim(load(options))
    lock.close()
    (Path(settings.state_dir) / "version").unlink()
    claim(load(options))[1].close()
    assert (Path(settings.state_dir) / "version").read_text() == "1\n"

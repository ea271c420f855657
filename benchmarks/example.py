"""The three example nodes with another profile, for benchmarks that ask what a profile costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flocksy.testing.rig import Rig

HERE = Path(__file__).resolve().parent.parent
PROFILES = ("fast", "balanced", "quiet")


@contextmanager
def example(profile: str) -> Iterator[Rig]:
    """A rig of them that has not been started."""
    configs = [HERE / "test-configs" / f"node{number}" for number in (1, 2, 3)]
    with Rig(configs, HERE / "keys-example") as rig:
        for node in rig.nodes:
            text = node.config.read_text()
            node.config.write_text(text.replace("profile = fast", f"profile = {profile}"))
        yield rig

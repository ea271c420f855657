"""All targets, in the order in which they are run."""

from __future__ import annotations

from tests.fuzz import keys, lanes, nodes, people, wire
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for part in (lanes, wire, keys, nodes, people) for target in part.TARGETS
}

"""Where a test here fails, the ends of its nodes' logs are part of the report."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from flocksy.testing.rig import Rig
from tests.integration.flock import flying, rig_of_three


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    arguments = getattr(item, "funcargs", {})
    for rig in arguments.values():
        if report.failed and isinstance(rig, Rig):
            report.sections.append(("the nodes' logs", rig.log_tails()))
    return report


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Three nodes that run, profile fast, for all tests of a module."""
    with flying(rig_of_three()) as started:
        yield started

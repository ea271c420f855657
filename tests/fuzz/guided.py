"""One target under atheris: `python -m tests.fuzz.guided NAME`, then libFuzzer's own arguments."""

from __future__ import annotations

import sys

import atheris

from tests.fuzz.target import unguided

with atheris.instrument_imports(
    include=["flocksy"], exclude=unguided(sys.argv[1]), enable_loader_override=False
):
    from tests.fuzz.table import TARGETS


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

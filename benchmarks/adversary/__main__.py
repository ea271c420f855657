"""The command line: see the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.adversary.leaks import BUILDS


def main() -> None:
    """Collect or analyse."""
    parser = argparse.ArgumentParser(prog="benchmarks.adversary", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("collect", help="fly sessions and keep their features")
    one.add_argument("directory", type=Path)
    one.add_argument("--pace", choices=("max", "grid"), default="max")
    one.add_argument("--build", choices=BUILDS, default="honest")
    one.add_argument("--nodes", type=int, default=3)
    one.add_argument("--sessions", type=int, default=4)
    one.add_argument("--events", type=int, default=40)
    one.add_argument("--quiet", type=float, default=10.0, help="seconds before and after an event")
    one.add_argument("--minutes", type=float, default=45.0, help="begin no session after these")
    one.add_argument("--seed", type=int, default=1)
    two = commands.add_parser("analyse", help="say what the features tell")
    two.add_argument("directory", type=Path)
    given = parser.parse_args()
    if given.command == "collect":
        from benchmarks.adversary.collect import collect

        collect(
            given.directory,
            given.pace,
            given.build,
            given.nodes,
            given.sessions,
            given.events,
            given.quiet,
            given.minutes * 60,
            given.seed,
        )
    else:
        from benchmarks.adversary.analyse import analyse

        analyse(given.directory)


if __name__ == "__main__":
    main()

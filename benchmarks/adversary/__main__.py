"""The command line: see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adversary.series import BUILDS, DETAILS, Series
from flocksy.errors import FlocksyError
from flocksy.testing.rig import RigError


def main() -> None:
    """Collect or analyse."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.adversary",
        description=sys.modules["benchmarks.adversary"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("collect", help="fly sessions and keep their features")
    one.add_argument("directory", type=Path)
    one.add_argument("question", choices=sorted(DETAILS), help="what is asked")
    one.add_argument(
        "detail",
        nargs="?",
        help="; ".join(f"{question}: {', '.join(of)}" for question, of in DETAILS.items()),
    )
    one.add_argument("--build", choices=BUILDS, default=BUILDS[0])
    one.add_argument("--pace", choices=("max", "grid"), default="max")
    one.add_argument("--nodes", type=int, choices=(3, 4, 5), default=3)
    one.add_argument("--judged", type=int, default=1200, help="events to judge, all sessions")
    one.add_argument("--events", type=int, default=60, help="of a session")
    one.add_argument("--minutes", type=float, default=40.0, help="begin no session after these")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--largest", type=int, default=0, metavar="MiB", help="files of bursts in who")
    one.add_argument("--rights", action="store_true", help="nodes may raise their priority")
    whole = commands.add_parser("measure", help="fly a part of a plan; again to go on")
    whole.add_argument("directory", type=Path)
    whole.add_argument("plan", choices=("who", "whether", "single", "active", "quick"), nargs="+")
    whole.add_argument("--minutes", type=float, default=40.0, help="begin no session after these")
    whole.add_argument("--seed", type=int, default=1)
    two = commands.add_parser("analyse", help="say what the features tell")
    two.add_argument("directory", type=Path)
    two.add_argument("series", nargs="*", help="how the names begin; none: all")
    given = parser.parse_args()
    if given.command != "analyse" and (missing := _missing()):
        sys.exit(f"flying a flock in network namespaces needs {missing}")
    try:
        _run(parser, given)
    except (RigError, FlocksyError) as error:
        sys.exit(str(error))
    except (subprocess.SubprocessError, OSError, ModuleNotFoundError) as error:
        words = _words(error)
        if words is None:
            raise
        sys.exit(f"{words}. What was flown is kept: run the same again to go on")


def _words(error: Exception) -> str | None:
    """What the machine does not do, and what to do about it, in one line; None: it is our own
    mistake."""
    match error:
        case subprocess.CalledProcessError(cmd=command):
            said = " ".join((error.stderr or "").split()) or f"ended with status {error.returncode}"
            failed = f"{_typed(command)}: {said}"
            if command[0] == "ip":
                failed += (
                    ": network namespaces need root, in a container with CAP_SYS_ADMIN and"
                    " CAP_NET_ADMIN"
                )
            return failed
        case subprocess.TimeoutExpired(cmd=command):
            return f"{_typed(command)}: not done within {error.timeout:g} s: is this machine laden?"
        case ModuleNotFoundError(name=str(name)) if not name.startswith(("benchmarks", "flocksy")):
            return f"{name} is not installed: pip install -r requirements-adversary.lock"
        case OSError():
            where = f"{error.filename}: " if error.filename is not None else ""
            return f"{where}{error.strerror or error}"
    return None


def _typed(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


def _missing() -> str:
    """What this machine or user lacks, in words."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "root on Linux"
    paths = f"{os.environ.get('PATH', '')}:/usr/sbin"
    lacking = [name for name in ("ip", "tcpdump") if shutil.which(name, path=paths) is None]
    return " and ".join(lacking)


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.command == "analyse":
        from benchmarks.adversary.analyse import analyse

        analyse(given.directory, given.series)
        return
    if given.command == "measure":
        from benchmarks.adversary.plan import measure

        end = time.monotonic() + given.minutes * 60
        for plan in given.plan:
            if not measure(given.directory, plan, end - time.monotonic(), given.seed):
                return
        return
    detail = given.detail or next(iter(DETAILS[given.question]))
    if detail not in DETAILS[given.question]:
        parser.error(f"{given.question} has no {detail}, but {', '.join(DETAILS[given.question])}")
    from benchmarks.adversary.collect import collect

    if given.largest and (given.question, detail) != ("who", "bursts"):
        parser.error("--largest is for who bursts")
    series = Series(
        given.question,
        detail,
        given.build,
        given.pace,
        given.nodes,
        largest_mib=given.largest,
        rights=given.rights,
    )
    collect(given.directory, series, given.judged, given.events, given.minutes * 60, given.seed)


if __name__ == "__main__":
    main()

"""A node with a leak put in, which the adversary must find: the controls of every report.

    python -m benchmarks.adversary.leaky BUILD FILE NAME [flags of flocksy]

The wire process cannot know whether its node is the source, so FILE tells it: it holds the NAME of
the node that makes the next change.
"""

from __future__ import annotations

import functools
import sys

from benchmarks.adversary.leaks import run_leaky
from flocksy.cli.main import main
from flocksy.node import processes

if __name__ == "__main__":
    build, file, name, *flags = sys.argv[1:]
    leak = functools.partial(run_leaky, build, file, name)
    setattr(processes, "run", leak)  # noqa: B010  # the name that the node starts its wire by
    sys.exit(main(flags))

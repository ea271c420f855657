"""`python -m flocksy`, the same as the command `flocksy`."""

from __future__ import annotations

import sys

from flocksy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

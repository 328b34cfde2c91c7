"""Runs the command line: `python -m mlcore --help`."""

import sys

from mlcore.cli import main

if __name__ == "__main__":
    sys.exit(main())

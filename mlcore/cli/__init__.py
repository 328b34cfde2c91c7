"""`python -m mlcore check | recipe | train | evaluate | embed | search | export`, without a database."""

from mlcore.cli.main import main

__all__ = ["main"]

"""`python -m mlcore check | train | evaluate | embed`, on plain folders and tables, with no database."""

from mlcore.cli.main import main

__all__ = ["main"]

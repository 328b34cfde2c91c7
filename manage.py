#!/usr/bin/env python
"""Kindred's command line: puts `platform/` on the path, starts embedded Postgres when a command needs it."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
# Commands that answer without a database, or see to it themselves.
NO_DATABASE = {"help", "version", "--help", "--version", "collectstatic", "makemessages", "diffsettings"}
NO_DATABASE |= {"serve", "stop"}


def main() -> None:
    sys.path.insert(0, str(ROOT / "platform"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kindred.settings")
    from django.core.management import execute_from_command_line

    if len(sys.argv) > 1 and sys.argv[1] not in NO_DATABASE:
        from kindred import postgres

        postgres.ensure_running()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

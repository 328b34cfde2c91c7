"""The processes of the site, from the Procfile: the one truth for their commands."""

import os
import shlex
import sys
from pathlib import Path

from django.conf import settings


def procfile() -> dict[str, str]:
    """Name -> command, in the order of the file."""
    lines = (Path(settings.ROOT) / "Procfile").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): command.strip() for name, command in pairs}


def environment() -> dict[str, str]:
    """What the processes see: this interpreter's programs first, and the source roots."""
    root = Path(settings.ROOT)
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": f"{root / 'platform'}{os.pathsep}{root}",
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "kindred.settings"),
        "PYTHONUNBUFFERED": "1",
    }


def replace_this_process(name: str) -> None:
    """Becomes the process `name`. Raises KeyError for a name that the Procfile has not."""
    arguments = shlex.split(procfile()[name])
    os.chdir(settings.ROOT)
    os.execvpe(arguments[0], arguments, environment())  # noqa: S606  (the Procfile's own command)

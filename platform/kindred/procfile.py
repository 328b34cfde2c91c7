"""The processes of the site. The Procfile is the one place that says how each is started."""

import os
import shlex
import sys
from pathlib import Path

from honcho.environ import parse_procfile

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "Procfile"


def commands() -> dict[str, str]:
    """Process name -> command line, without anything that needs a shell."""
    return dict(parse_procfile(PATH.read_text()).processes)


def environment() -> dict[str, str]:
    """The environment that the commands are written for: this Python's programs come first."""
    programs = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1"}


def become(name: str) -> None:
    """Replaces this process by the one named. Raises KeyError for an unknown name."""
    words = shlex.split(commands()[name])
    os.chdir(ROOT)
    os.execvpe(words[0], words, environment())  # noqa: S606  (the words are the project's own)

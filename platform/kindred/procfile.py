"""The processes of the site. The Procfile is the one place that says how each is started."""

import os
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

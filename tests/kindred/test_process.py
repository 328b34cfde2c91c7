"""`manage.py process NAME`: what a container runs is the Procfile's line, and it leaves nothing behind."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from django.conf import settings

from kindred import procfile, running

pytestmark = [pytest.mark.slow]


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def is_up(address: str) -> bool:
    try:
        with urlopen(address, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def test_it_runs_the_procfiles_line_and_ends_with_it() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "WEB_WORKERS": "1"}
    process = subprocess.Popen([sys.executable, "manage.py", "process", "web"], cwd=settings.ROOT, env=environment)
    try:
        end = time.monotonic() + 60
        while not is_up(f"http://127.0.0.1:{port}/healthz"):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
        found = running.leftovers(running.mark(of=process.pid))
        words = shlex.split(procfile.commands()["web"])
        # The interpreter comes first, and the program by its whole path.
        assert all(command_line(pid)[2:] == words[1:] for pid in found)
        assert {Path(command_line(pid)[1]).name for pid in found} == {words[0]}
        # Its pages have been loaded by now: neither torch nor faiss has come with them.
        loaded = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in found)
        assert "gunicorn" in "".join(words)
        assert "libpython" in loaded or "python3" in loaded
        assert not [name for name in ("/torch/", "/torchvision/", "/faiss/") if name in loaded]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert running.leftovers(running.mark(of=process.pid)) == []


def test_an_unknown_process_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "process", "cellar"], cwd=settings.ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "cellar" in done.stderr

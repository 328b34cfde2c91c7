"""Finding and ending what the site started; starting again what ended unasked."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from kindred import procfile, running

pytestmark = [pytest.mark.slow]

PROGRAM = "import signal, sys, time; signal.signal(signal.SIGTERM, {}); print('up', flush=True); time.sleep(60)"
JOB = PROGRAM.format("lambda *_: sys.exit(0)")
DEAF = PROGRAM.format("signal.SIG_IGN")


@pytest.fixture
def mark(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(running, "JOB_SECONDS", 1.0)
    yield running.mark()
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()


STARTED: list["subprocess.Popen[str]"] = []


def start(code: str, mark: str, *, group: bool = True) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, running.VARIABLE: mark},
        start_new_session=group,
        stdout=subprocess.PIPE,
        text=True,
    )
    STARTED.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_jobs_are_asked_and_the_deaf_are_killed(mark: str) -> None:
    job, deaf, child, stranger = start(JOB, mark), start(DEAF, mark), start(JOB, mark, group=False), start(JOB, "/else")
    assert set(running.leftovers(mark)) == {job.pid, deaf.pid, child.pid}
    assert running.leftovers_end(mark) == 3
    assert (job.wait(5), deaf.wait(5)) == (0, -signal.SIGKILL)
    assert child.wait(5) == -signal.SIGKILL  # not asked: whoever leads its group ends it
    assert stranger.poll() is None
    assert running.leftovers(mark) == []


def test_a_container_ends_only_its_own(mark: str) -> None:
    mine, other = start(JOB, running.mark(of=1)), start(JOB, running.mark(of=11))
    assert running.leftovers(running.mark(of=1)) == [mine.pid]
    assert set(running.leftovers(mark)) == {mine.pid, other.pid}
    running.leftovers_end(running.mark(of=1))
    assert (mine.wait(5), other.poll()) == (0, None)


def test_one_site_per_data_folder(settings: Any, tmp_path: Path) -> None:
    settings.RUNTIME_DIR = tmp_path / "run"
    with running.only_one(), pytest.raises(running.AlreadyRunning, match=str(os.getpid())), running.only_one():
        pass
    with running.only_one():
        pass
    assert running.serve_end() is False


def script(tmp_path: Path, commands: dict[str, str]) -> list[str]:
    """A program that supervises `commands` in place of the Procfile's."""
    source = f"""
        import sys, threading
        sys.path[:0] = [{str(settings.ROOT / "platform")!r}]
        from kindred import procfile, supervisor
        procfile.commands = lambda: {commands!r}
        supervisor.RESTART_SECONDS = 0.1
        site = supervisor.Supervisor(lambda: print("all started", flush=True))
        site.add_all(procfile.environment())
        site.loop()
        sys.exit(site.returncode)
    """
    path = tmp_path / "supervise.py"
    path.write_text(textwrap.dedent(source))
    return [sys.executable, str(path)]


def wait_for(path: Path, count: int) -> list[int]:
    """Waits until a process has noted its pid so often."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        pids = [int(line) for line in path.read_text().split()] if path.exists() else []
        if len(pids) >= count:
            return pids
        time.sleep(0.05)
    raise AssertionError(f"{path} has not {count} lines")


def noting(tmp_path: Path, name: str, then: str) -> str:
    program = tmp_path / f"{name}.py"
    program.write_text(f"import os, time\nopen({str(tmp_path / name)!r}, 'a').write(f'{{os.getpid()}}\\n')\n{then}\n")
    return f"{sys.executable} {program}"


def test_a_killed_process_is_started_again_and_a_signal_ends_all(tmp_path: Path) -> None:
    commands = {name: noting(tmp_path, name, "time.sleep(60)") for name in ("one", "two")}
    site = subprocess.Popen(script(tmp_path, commands), stdout=subprocess.PIPE, text=True)
    first = wait_for(tmp_path / "one", 1)[0]
    other = wait_for(tmp_path / "two", 1)[0]
    os.kill(first, signal.SIGKILL)
    second = wait_for(tmp_path / "one", 2)[1]
    assert Path(f"/proc/{other}").exists()
    site.send_signal(signal.SIGINT)
    output, _ = site.communicate(timeout=20)
    assert site.returncode == 130
    assert "all started" in output
    assert "one ended unasked" in output
    assert not [pid for pid in (first, second, other) if Path(f"/proc/{pid}/cwd").exists()]


def test_a_process_that_cannot_run_ends_the_site(tmp_path: Path) -> None:
    commands = {
        "bad": noting(tmp_path, "bad", "raise SystemExit(3)"),
        "good": noting(tmp_path, "good", "time.sleep(60)"),
    }
    done = subprocess.run(script(tmp_path, commands), capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert len(wait_for(tmp_path / "bad", 1)) == 6
    assert not Path(f"/proc/{wait_for(tmp_path / 'good', 1)[0]}/cwd").exists()


def test_the_environment_prefers_this_python() -> None:
    assert procfile.environment()["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)

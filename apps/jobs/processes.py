"""The operating system's side of a job: starting its process, telling whether it lives, ending it. Linux.

A job's process leads a process group and session of its own, so it neither hears the queue's signals nor dies with
it, and its data-loading children can be ended with it.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.conf import settings

from apps.jobs import hosts

# What run_job exits with; a watcher turns it into words.
EXIT_DATABASE_AWAY = 75
EXIT_REPLACED = 76
EXIT_RELEASED = 77


def log_path(job_id: int) -> Path:
    """Where everything that a job's processes print is kept, one file for all attempts."""
    return Path(settings.DATA_DIR) / "logs" / "jobs" / f"{job_id}.log"


def log_file_tail(job_id: int, size_bytes: int = 4096) -> str:
    """The end of what the job's processes on this host printed; empty when there is nothing."""
    try:
        with log_path(job_id).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size_bytes))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def start(job_id: int, attempt: int, slot_name: str) -> "subprocess.Popen[bytes]":
    """Starts `manage.py run_job`, detached from this process but for being its parent.

    A SIGTERM that comes before it can hand its job back waits until it can: it is born with the signal blocked.
    """
    path = log_path(job_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # run_job is no member of the queue's cluster: what it enqueues goes where it says.
    environment = {name: value for name, value in os.environ.items() if name != "Q_CLUSTER_NAME"}
    environment |= {"CUDA_VISIBLE_DEVICES": hosts.visible_devices(slot_name), "PYTHONUNBUFFERED": "1"}
    # A new job may have the number of an old one: a database that was made anew.
    with path.open("wb" if attempt == 1 else "ab") as log, _terminate_blocked():
        return subprocess.Popen(  # noqa: S603
            [sys.executable, str(settings.ROOT / "manage.py"), "run_job", str(job_id), str(attempt)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=settings.ROOT,
            env=environment,
            start_new_session=True,
        )


@contextlib.contextmanager
def _terminate_blocked() -> Iterator[None]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def pid_key(pid: int) -> str:
    """Tells one process from every other that had or will have its pid: boot, pid namespace, start time.

    Empty when there is no such process, or only a zombie.
    """
    try:
        # The name in parentheses may hold anything; fields are counted from its end. 3: state, 22: start time.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{_where()}:{fields[19]}"


def is_gone(pid: int, key: str) -> bool:
    """Whether the process that had this pid and key is known to be dead.

    False for a process that this one cannot see (another container of the same host name): its lease decides.
    """
    boot, _, namespace = _where().partition("/")
    key_boot, _, key_rest = key.partition("/")
    if key_boot != boot:
        return True  # the machine has been restarted since
    if key_rest.partition(":")[0] != namespace:
        return False
    return pid_key(pid) != key


def is_visible(key: str) -> bool:
    """Whether this process could see (and signal) the process with this key if it lived."""
    return bool(key) and key.rpartition(":")[0] == _where()


def kill_group(pid: int, key: str) -> None:
    """SIGKILLs the living process with this pid and key, and every process of its group. Works on a frozen one."""
    if is_visible(key) and pid_key(pid) == key:
        kill_leftovers(pid)


def kill_leftovers(pid: int) -> None:
    """SIGKILLs what is left of the group that `pid` leads or led until a moment ago.

    Not for a pid that died long ago: once the group is empty its number may be given to a stranger.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def wait_gone(pid: int, key: str, seconds: float) -> bool:
    """Waits until the process is gone; says whether it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if pid_key(pid) != key:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    except OSError:
        time.sleep(seconds)
        return is_gone(pid, key)
    finally:
        os.close(descriptor)


def exit_words(returncode: int | None) -> str:
    """How a process ended, for people."""
    if returncode is None:
        return "its process is gone"
    if returncode < 0:
        name = next((known.name for known in signal.Signals if known == -returncode), str(-returncode))
        hint = " (the system may have run out of memory)" if -returncode == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    if returncode == EXIT_DATABASE_AWAY:
        return "the database was away for too long"
    return f"its process ended with code {returncode}"


@cache
def _where() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot[:13]}/{os.stat('/proc/self/ns/pid').st_ino}"

"""What of this site runs on this host, told by /proc: for a stop that leaves nothing behind, whatever came before.

Every process that `serve` or `process` starts, and what those start in turn, carries a mark in its environment:
`KINDRED_SITE=<data folder>`, with `process` also whose it is. Jobs lead process groups of their own and outlive the
queue; this finds them too.
"""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from apps.jobs import hosts, supervise
from kindred import folders

log = structlog.get_logger(__name__)

VARIABLE = "KINDRED_SITE"
JOB_SECONDS = 15.0  # for a job to hand itself back to the queue
SERVE_SECONDS = 60.0


class AlreadyRunning(RuntimeError):  # noqa: N818
    """Another `serve` holds this data folder; `pid` is its process."""

    def __init__(self, pid: str) -> None:
        super().__init__(f"Kindred runs on this data folder already (process {pid}). Stop it with `make stop`.")


@contextmanager
def only_one() -> Iterator[None]:
    """Holds the site's lock. Raises AlreadyRunning."""
    folders.private_dir_make(settings.RUNTIME_DIR)
    with _lock_path().open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_lock_path().read_text().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def serve_end() -> bool:
    """Asks the running `serve` to stop, and waits until it has. False: none runs."""
    try:
        with only_one():
            return False
    except AlreadyRunning:
        pid = int(_lock_path().read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _wait(lambda: not Path(f"/proc/{pid}").exists(), SERVE_SECONDS):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


def mark(of: int | None = None) -> str:
    """The mark of this site's processes, or of those that process `of` started."""
    return f"{settings.DATA_DIR}" if of is None else f"{settings.DATA_DIR}#{of}"


def leftovers(marked: str) -> list[int]:
    """The living processes that bear this mark, or a longer one; this process left out."""
    wanted = f"{VARIABLE}={marked}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError):  # it ended meanwhile, or is another user's
            variables = (folder / "environ").read_bytes().split(b"\0")
            if any(variable == wanted or variable.startswith(wanted + b"#") for variable in variables):
                found.append(int(folder.name))
    return found


def leftovers_end(marked: str) -> int:
    """Ends them; returns how many there were.

    Only leaders of groups are asked: a job's loading processes must not go before the job does, which would take that
    for a failure of its work. Who has not ended after the grace is killed.
    """
    pids = leftovers(marked)
    if not pids:
        return 0
    for pid in pids:
        with suppress(OSError):
            if os.getpgid(pid) == pid:
                os.kill(pid, signal.SIGTERM)
    _wait(lambda: not leftovers(marked), JOB_SECONDS)
    for pid in leftovers(marked):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    _wait(lambda: not leftovers(marked), 5)
    return len(pids)


def jobs_hand_back() -> None:
    """Puts the jobs that had to be killed back in the queue, not as crashes, if the database still answers."""
    try:
        supervise.hand_back(host=hosts.host_name())
    except (DatabaseError, InterfaceError) as error:
        log.warning("jobs were not handed back; they count as crashed", error=str(error).strip())
    finally:
        connections.close_all()


def _lock_path() -> Path:
    runtime_dir: Path = settings.RUNTIME_DIR
    return runtime_dir / "serve.lock"


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True

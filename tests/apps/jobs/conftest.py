"""Jobs in real processes, on the test's own database."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.jobs import services, supervise, tasks
from apps.jobs.models import Job, Slot
from tests.apps.jobs import settings as test_settings

SHORT_LEASE_SECONDS = 8


@pytest.fixture
def job_settings(settings: Any, tmp_path: Path) -> Any:
    """Quick heartbeats, the tests' own kinds of work, logs in a folder of the test."""
    for name in (
        "JOB_KINDS",
        "JOB_SLOTS",
        "JOB_LEASE_SECONDS",
        "JOB_HEARTBEAT_SECONDS",
        "JOB_TERM_GRACE_SECONDS",
    ):
        setattr(settings, name, getattr(test_settings, name))
    return settings


@pytest.fixture
def processes(
    job_settings: Any, transactional_db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator["Processes"]:
    """Starts jobs for real; ends whatever is left of them."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.apps.jobs.settings")
    monkeypatch.setenv("KINDRED_TEST_DATABASE", str(connection.settings_dict["NAME"]))
    monkeypatch.setattr(supervise, "TICK_SECONDS", 0.5)
    monkeypatch.setattr(supervise, "EXIT_SECONDS", 3.0)
    bench = Processes(tmp_path)
    yield bench
    bench.end()


@pytest.fixture
def short_lease(processes: "Processes", settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that a test can see the end of, here and in the processes that it starts."""
    settings.JOB_LEASE_SECONDS = SHORT_LEASE_SECONDS
    monkeypatch.setenv("KINDRED_TEST_LEASE_SECONDS", str(SHORT_LEASE_SECONDS))


class Processes:
    """What the tests do with jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: set[int] = set()

    def submit(self, kind: str, **payload: Any) -> Job:
        payload = {"folder": str(self.folder), **payload}
        return services.job_submit(kind=kind, title=f"test {kind}", payload=payload, owner=None, dataset=None)

    def kick(self) -> int:
        started = tasks.kick()
        self.pids |= set(Job.objects.filter(pid__isnull=False).values_list("pid", flat=True))
        return started

    def wait(self, job: Job, test: Callable[[Job], Any], seconds: float = 40.0, kicking: bool = False) -> Job:
        """Waits until `test` holds; with `kicking`, the doorbell rings meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if kicking:
                self.kick()
            job.refresh_from_db()
            if test(job):
                return job
            time.sleep(0.1)
        raise AssertionError(f"still {job.state}, attempt {job.attempt}, crashes {job.crashes}:\n{job.log_tail}")

    def wait_started(self, job: Job) -> Job:
        """Waits until the handler runs."""
        return self.wait(job, lambda job: (self.folder / str(job.attempt)).exists())

    def note(self, attempt: int) -> str:
        path = self.folder / str(attempt)
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        for pid in self.pids | set(Job.objects.filter(pid__isnull=False).values_list("pid", flat=True)):
            if any(thread.pid == pid for thread in supervise.watchers()):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        for thread in supervise.watchers():
            thread.join(timeout=10)


def free_slots() -> int:
    return Slot.objects.filter(pool="device", job=None).count()

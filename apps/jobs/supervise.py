"""Watches the processes of this host's jobs from the queue's process, each in a thread, and starts new ones.

A watcher learns of its process's end at once (a pid descriptor; its parent or not), so a killed training is in the
queue again within a second. It also ends a process that lost its job, or whose lease ran out. A watcher that died
with the queue's process is replaced by the next kick.
"""

import os
import select
import subprocess
import threading

import structlog
from django.db import connection
from django.db.models.functions import Now

from apps.jobs import processes, services
from apps.jobs.context import DATABASE_ERRORS
from apps.jobs.models import Job

log = structlog.get_logger(__name__)

TICK_SECONDS = 5.0
EXIT_SECONDS = 10.0  # for a process whose job has ended

_watchers: dict[tuple[int, int], "Watcher"] = {}
_lock = threading.Lock()


def launch(job: Job, slot_name: str) -> None:
    """Starts the process of a claimed attempt and a watcher of it."""
    try:
        process = processes.start(job.pk, job.attempt, slot_name)
    except OSError as error:
        services.job_crashed(job_id=job.pk, attempt=job.attempt, reason=f"its process could not be started: {error}")
        return
    key = processes.pid_key(process.pid)
    log.info("job launched", job_id=job.pk, attempt=job.attempt, pid=process.pid, slot=slot_name)
    services.job_process_set(job_id=job.pk, attempt=job.attempt, pid=process.pid, pid_key=key)
    _watch(Watcher(job.pk, job.attempt, process.pid, key, process))


def adopt(*, host: str) -> None:
    """Watches what runs on this host unwatched; deals with what is gone."""
    rows = Job.objects.filter(state=Job.State.RUNNING, host=host, pid__isnull=False)
    for job_id, attempt, pid, key in rows.values_list("pk", "attempt", "pid", "pid_key"):
        if (job_id, attempt) in _watchers or pid is None:
            continue
        if processes.is_gone(pid, key):
            services.job_crashed(
                job_id=job_id, attempt=attempt, reason=processes.exit_words(None), output=_output(job_id)
            )
        elif processes.is_visible(key):
            _watch(Watcher(job_id, attempt, pid, key, None))


def hand_back(*, host: str) -> None:
    """Puts this host's jobs whose process is gone back in the queue, not as crashes: the host was shut down."""
    rows = Job.objects.filter(state=Job.State.RUNNING, host=host)
    for job_id, attempt, pid, key in rows.values_list("pk", "attempt", "pid", "pid_key"):
        if pid is None or processes.is_gone(pid, key):
            services.job_release(job_id=job_id, attempt=attempt)


def reap(*, host: str) -> None:
    """Takes the jobs whose lease ran out, of any host, from their processes."""
    rows = Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=Now())
    for job in rows.only("pk", "attempt", "pid", "pid_key", "host"):
        reason = "it stopped answering and its lease ran out"
        output = ""
        if job.host == host:
            output = _output(job.pk)
        crashed = services.job_crashed(
            job_id=job.pk, attempt=job.attempt, reason=reason, output=output, lease_over=True
        )
        # Its writes are fenced from here on; on this host it must also give the device back.
        if crashed and job.host == host and job.pid:
            processes.kill_group(job.pid, job.pid_key)
            processes.wait_gone(job.pid, job.pid_key, 2.0)


def watchers() -> list["Watcher"]:
    with _lock:
        return list(_watchers.values())


class Watcher(threading.Thread):
    """Waits for the end of one process."""

    def __init__(
        self, job_id: int, attempt: int, pid: int, key: str, process: "subprocess.Popen[bytes] | None"
    ) -> None:
        super().__init__(name=f"watch-{job_id}-{attempt}", daemon=True)
        self.key = (job_id, attempt)
        self.pid = pid
        self._pid_key, self._process = key, process

    def run(self) -> None:
        try:
            if self._wait() or self._process:  # its pid cannot be a stranger's yet
                processes.kill_leftovers(self.pid)
            returncode = self._process.wait() if self._process else None
            self._end(returncode)
        finally:
            with _lock:
                _watchers.pop(self.key, None)
            connection.close()

    def _wait(self) -> bool:
        """Returns when the process has ended, by itself or by this; whether that happened just now."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if processes.pid_key(self.pid) != self._pid_key:
                return False  # it ended before the descriptor was opened
            overdue = False
            while not poll.poll(EXIT_SECONDS * 1000 if overdue else TICK_SECONDS * 1000):
                if overdue:
                    processes.kill_group(self.pid, self._pid_key)
                overdue = not self._is_wanted()
            return True
        finally:
            os.close(descriptor)

    def _is_wanted(self) -> bool:
        """Whether the attempt still is the one that runs. Rings for a kick when its lease has run out."""
        job_id, attempt = self.key
        try:
            if services.running(job_id, attempt).filter(lease_until__lt=Now()).exists():
                services.doorbell_ring()
            return services.running(job_id, attempt).exists()
        except DATABASE_ERRORS:
            return True
        finally:
            connection.close()

    def _end(self, returncode: int | None) -> None:
        job_id, attempt = self.key
        if returncode in (0, processes.EXIT_REPLACED, processes.EXIT_RELEASED):
            log.info("job's process ended", job_id=job_id, attempt=attempt, code=returncode)
        try:
            # Does nothing when the job has ended or moved on.
            services.job_crashed(
                job_id=job_id, attempt=attempt, reason=processes.exit_words(returncode), output=_output(job_id)
            )
        except DATABASE_ERRORS as error:
            log.warning("the end could not be noted; the next kick sees it", job_id=job_id, error=str(error).strip())


def _watch(watcher: Watcher) -> None:
    with _lock:
        _watchers[watcher.key] = watcher
    watcher.start()


def _output(job_id: int) -> str:
    return processes.log_file_tail(job_id, 2048)

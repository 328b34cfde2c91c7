"""Runs one attempt at a job: calls its handler, keeps its lease, and writes how it ended.

Three things end an attempt that does not end by itself: the `Pulse` thread (cancel, replacement), a watchdog in C
(the lease can no longer be renewed, for whatever reason: the database is away, the process was frozen, the
interpreter is stuck), and the watcher in the queue's process (supervise.py).
"""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from apps.core.errors import Conflict, KindredError
from apps.jobs import processes, services
from apps.jobs.context import DATABASE_ERRORS, FLUSH_SECONDS, Cancelled, JobContext, Released, Replaced
from apps.jobs.models import Job

log = structlog.get_logger(__name__)

Handler = Callable[[JobContext], dict[str, Any] | None]


def run(job_id: int, attempt: int) -> int:
    """Runs the attempt in this process, which is its own; returns the exit code. The caller ends the process."""
    structlog.contextvars.bind_contextvars(job_id=job_id, attempt=attempt)
    job = services.running(job_id, attempt).first()
    if job is None:
        log.warning("not mine to run")
        return processes.EXIT_REPLACED
    context = JobContext(job, threaded=True)
    pulse = Pulse(context)
    handler = TailHandler(context)
    logging.getLogger().addHandler(handler)
    signal.signal(signal.SIGTERM, _on_terminate(context))
    _watchdog_arm()
    pulse.start()
    try:
        ending = _call(context)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left takes a moment, and must not be torn
    finally:
        logging.getLogger().removeHandler(handler)
        pulse.stop()
    code = _end(context, ending)
    faulthandler.cancel_dump_traceback_later()
    return code


def run_inline(job: Job) -> Job:
    """Runs a queued job here and now, with neither process nor slot: for tests of handlers and for scripts.

    Errors end the job as they would in its own process; nothing is raised but what is no `Exception`.
    """
    queued = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    if not queued.update(
        state=Job.State.RUNNING, attempt=F("attempt") + 1, started_at=Now(), lease_until=Now() + services.lease()
    ):
        raise Conflict(f"Job {job.pk} is not queued any more.")
    job.refresh_from_db()
    context = JobContext(job)
    _end(context, _call(context))
    job.refresh_from_db()
    return job


@dataclass(frozen=True)
class Ending:
    """How the handler ended; `code` is what the process exits with. No `state`: there is none to write."""

    code: int = 0
    state: Job.State | None = None
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def _call(context: JobContext) -> Ending:
    """Calls the handler. Everything that it may raise becomes an ending."""
    dotted_name, _ = settings.JOB_KINDS[context.job.kind]
    log.info("job starts", kind=context.job.kind)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # see processes.start; a waiting one comes here
        handler: Handler = import_string(dotted_name)
        return Ending(state=Job.State.SUCCEEDED, result=handler(context) or {})
    except Cancelled:
        return Ending(state=Job.State.CANCELLED)
    except Replaced:
        log.warning("replaced")
        return Ending(code=processes.EXIT_REPLACED)
    except Released:
        return Ending(code=processes.EXIT_RELEASED)
    except KindredError as error:
        text = " ".join(filter(None, [error.detail, error.remedy]))
        context.log(text)
        return Ending(state=Job.State.FAILED, error=text)
    except DATABASE_ERRORS:
        # The transaction is lost, not the work: as after a crash, the next attempt continues.
        traceback.print_exc()
        return Ending(code=processes.EXIT_DATABASE_AWAY)
    except Exception as error:
        traceback.print_exc()
        context.log(traceback.format_exc())
        return Ending(state=Job.State.FAILED, error=f"{type(error).__name__}: {error}")


def _end(context: JobContext, ending: Ending) -> int:
    """Writes the ending. Returns the exit code."""
    job_id, attempt = context.job.pk, context.attempt
    if ending.code == processes.EXIT_RELEASED:
        _with_database(lambda: services.job_release(job_id=job_id, attempt=attempt))
    state = ending.state
    if state is None:
        return ending.code
    _with_database(context.beat)  # the last progress and log lines
    ended = _with_database(
        lambda: services.job_finish(
            job_id=job_id, attempt=attempt, state=state, error=ending.error, result=ending.result
        )
    )
    return 0 if ended else processes.EXIT_REPLACED


def _with_database(write: Callable[[], bool]) -> bool:
    """Calls `write` until the database takes it. The watchdog bounds the wait."""
    while True:
        try:
            return write()
        except DATABASE_ERRORS as error:
            if connection.in_atomic_block:
                raise
            log.warning("database away", error=str(error).strip())
            connection.close()
            time.sleep(FLUSH_SECONDS)


class Pulse(threading.Thread):
    """Beats for the context, and ends the process when it does not stop by itself."""

    def __init__(self, context: JobContext) -> None:
        super().__init__(name="pulse", daemon=True)
        self._context = context
        self._ended = threading.Event()
        self._stop_seen_at: float | None = None
        self._terminated = False

    def stop(self) -> None:
        """Ends the thread; returns when it will touch neither the database nor the process again."""
        self._ended.set()
        self.join(timeout=FLUSH_SECONDS * 4)

    def run(self) -> None:
        # A thread begins without the context of the one that made it.
        structlog.contextvars.bind_contextvars(job_id=self._context.job.pk, attempt=self._context.attempt)
        interval = min(FLUSH_SECONDS, settings.JOB_HEARTBEAT_SECONDS)
        while not self._ended.wait(interval):
            due = self._context.seconds_since_beat >= settings.JOB_HEARTBEAT_SECONDS or self._context.has_unsaved
            if due and not self._context.replaced.is_set():
                self._beat()
            self._enforce()
        connection.close()

    def _beat(self) -> None:
        try:
            safe = self._context.beat()
        except DATABASE_ERRORS as error:
            log.warning("no heartbeat", error=str(error).strip())
            connection.close()
            return
        if safe and not self._context.cancelled.is_set():
            _watchdog_arm()

    def _enforce(self) -> None:
        """Cancelled or replaced, and still here: SIGTERM after the grace, then SIGKILL, to the whole group."""
        context = self._context
        if not (context.cancelled.is_set() or context.replaced.is_set()):
            return
        if self._stop_seen_at is None:
            self._stop_seen_at = time.monotonic()
            log.info("asked to stop", cancelled=context.cancelled.is_set(), replaced=context.replaced.is_set())
        grace = settings.JOB_TERM_GRACE_SECONDS / (4 if context.replaced.is_set() else 1)
        waited = time.monotonic() - self._stop_seen_at
        if waited > grace and not self._terminated:
            self._terminated = True
            log.warning("did not stop: SIGTERM")
            os.killpg(os.getpgrp(), signal.SIGTERM)
        elif waited > grace * 1.2 + 0.5:
            self._kill()

    def _kill(self) -> None:
        """The end by force. What was asked for is written first, so that the slot is free at once."""
        context = self._context
        log.warning("did not stop: SIGKILL")
        if not context.replaced.is_set():
            try:
                services.job_finish(job_id=context.job.pk, attempt=context.attempt, state=Job.State.CANCELLED)
            except DATABASE_ERRORS:
                log.warning("the end could not be written; the lease will show it")
        sys.stderr.flush()
        os.killpg(os.getpgrp(), signal.SIGKILL)


class TailHandler(logging.Handler):
    """Sends the process's log lines to the job's page too."""

    def __init__(self, context: JobContext) -> None:
        super().__init__(level=logging.INFO)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        event = record.msg if isinstance(record.msg, dict) else {"event": record.getMessage()}
        if record.name.startswith(("django_q", "django-q")):
            return
        facts = " ".join(f"{key}={value}" for key, value in event.items() if key not in _NOT_SHOWN)
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        self._context.log(f"{stamp} {event.get('event', '')} {facts}".rstrip())


_NOT_SHOWN = {"event", "level", "logger", "timestamp", "job_id", "attempt", "_record", "_from_structlog", "exc_info"}


def _watchdog_arm() -> None:
    """(Re)starts the countdown in C that ends this process, stacks printed, shortly before its lease ends."""
    margin = min(5.0, settings.JOB_LEASE_SECONDS / 5)
    faulthandler.dump_traceback_later(settings.JOB_LEASE_SECONDS - margin, exit=True)


def _on_terminate(context: JobContext) -> Callable[[int, FrameType | None], None]:
    main_pid = os.getpid()

    def on_terminate(number: int, frame: FrameType | None) -> None:
        if os.getpid() != main_pid:  # a data-loading child inherited this
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if context.replaced.is_set():
            raise Replaced
        if context.cancelled.is_set():
            raise Cancelled
        context.released.set()
        raise Released

    return on_terminate

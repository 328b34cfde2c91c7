"""What a handler of long work sees of its job: progress, log, stop, and the fence around its writes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from apps.jobs import services
from apps.jobs.models import Job

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.5
IDLE_LEASES = 5  # how many leases long a fence may be open without a word to the database
DATABASE_ERRORS = (OperationalError, InterfaceError)


class Stop(BaseException):
    """The handler is to stop. Not an `Exception`: no handler swallows it by accident."""


class Cancelled(Stop):
    """A person asked for it."""


class Replaced(Stop):
    """Another attempt runs the job now (or it is final already). Nothing may be written any more."""


class Released(Stop):
    """The host shuts down; the job goes back to the queue."""


class JobContext:
    """One attempt at one job.

    `beat` is called every half second by a thread (`runner.Pulse`), on a database connection of its own, so a handler
    neither waits for its progress to be written nor has to call anything to be found alive. Without that thread
    (`runner.run_inline`) the calls of `progress`, `log` and `should_stop` do it.
    """

    def __init__(self, job: Job, *, threaded: bool = False) -> None:
        self.job = job
        self.attempt = job.attempt
        self.cancelled = threading.Event()
        self.replaced = threading.Event()
        self.released = threading.Event()
        self._threaded = threaded
        self._lock = threading.Lock()
        self._unsaved: dict[str, Any] = {}
        self._unsaved_log = ""
        self._stage: tuple[str, str] | None = None
        self._stage_done = 0
        self._stage_began = 0.0
        self._beat_at = 0.0
        self._fences = 0

    # --- for handlers -------------------------------------------------------------------------------------------
    def progress(self, done: int, total: int | None = None, unit: str = "", stage: str = "") -> None:
        """Says how far it is. Cheap: kept, and written at most every half second. `total` None: as before.

        A new `stage`, or a `done` that goes back, starts a new bar and a new estimate of the time left.
        """
        with self._lock:
            if self._stage != (stage, unit) or done < self._stage_done:
                self._stage = (stage, unit)
                self._stage_began = time.monotonic()
                self._unsaved |= {"pace_from": done, "stage": stage[:120], "progress_unit": unit[:32]}
                self._unsaved["progress_total"] = 0
            self._stage_done = done
            self._unsaved["progress_done"] = done
            if total is not None:
                self._unsaved["progress_total"] = total
        self._maybe_beat()

    def log(self, text: str) -> None:
        """Appends lines to the log that the job's page shows the end of."""
        with self._lock:
            self._unsaved_log = (self._unsaved_log + text.rstrip("\n") + "\n")[-services.LOG_TAIL_CHARACTERS :]
        self._maybe_beat()

    def should_stop(self) -> bool:
        """Whether the handler should end soon: cancelled, replaced, or the host shuts down. Free to call often."""
        self._maybe_beat()
        return self.cancelled.is_set() or self.replaced.is_set() or self.released.is_set()

    def check(self) -> None:
        """Raises Cancelled, Replaced or Released when `should_stop`."""
        if not self.should_stop():
            return
        if self.replaced.is_set():
            raise Replaced
        raise Cancelled if self.cancelled.is_set() else Released

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction that only this attempt can commit. All of a handler's writes to the database go inside one.

        Holds the job's row locked until the end, so keep it short: nobody can take the job over (or cancel it)
        meanwhile. Waits for a database that is away. Raises Replaced when another attempt runs the job.
        """
        transaction_block = self._fence_enter()
        began = time.monotonic()
        try:
            yield
            if time.monotonic() - began > settings.JOB_HEARTBEAT_SECONDS:
                # No heartbeat got through meanwhile: without this the lease might be over when the lock goes.
                services.running(self.job.pk, self.attempt).update(lease_until=services.lease_renewed())
        except BaseException as error:
            self._fence_leave(transaction_block, error)
            raise
        self._fence_leave(transaction_block, None)

    # --- for the runner -----------------------------------------------------------------------------------------
    def beat(self) -> bool:
        """Renews the lease, writes what is unsaved, reads the cancel flag. Sets `replaced` when the row is gone.

        Returns whether the attempt is known to be safe from being taken over for another lease (its lease was renewed,
        or its row is locked by its own fence). Raises the database's errors; nothing unsaved is lost by one.
        """
        with self._lock:
            values, self._unsaved = self._unsaved, {}
            text, self._unsaved_log = self._unsaved_log, ""
            stage_age = timedelta(seconds=time.monotonic() - self._stage_began)
        if "pace_from" in values:
            values["pace_since"] = Now() - stage_age
        try:
            state = self._write(values, text)
        except BaseException:
            self._keep(values, text)
            raise
        self._beat_at = time.monotonic()
        if state == "locked":
            self._keep(values, text)
            return self._fences > 0
        if state == "gone":
            self.replaced.set()
            return False
        return True

    @property
    def seconds_since_beat(self) -> float:
        return time.monotonic() - self._beat_at

    @property
    def has_unsaved(self) -> bool:
        with self._lock:
            return bool(self._unsaved or self._unsaved_log)

    def _write(self, values: dict[str, Any], text: str) -> str:
        """Returns "written"; "locked": somebody holds the row just now; "gone": it is not this attempt's any more."""
        fence = services.running(self.job.pk, self.attempt)
        if text:
            values = {**values, "log_tail": services.tail_with(text)}
        with transaction.atomic():
            row = fence.select_for_update(no_key=True, skip_locked=True).values_list("cancel_requested").first()
            if row is not None:
                fence.update(heartbeat_at=Now(), lease_until=services.lease_renewed(), **values)
        written = row is not None
        if row is None:
            row = fence.values_list("cancel_requested").first()
        if row is None:
            return "gone"
        if row[0]:
            self.cancelled.set()
        return "written" if written else "locked"

    def _keep(self, values: dict[str, Any], text: str) -> None:
        """Puts back what could not be written; what came meanwhile is newer."""
        with self._lock:
            self._unsaved = {**values, **self._unsaved}
            self._unsaved_log = (text + self._unsaved_log)[-services.LOG_TAIL_CHARACTERS :]

    def _maybe_beat(self) -> None:
        if not self._threaded and self.seconds_since_beat >= FLUSH_SECONDS:
            self.beat()

    def _fence_enter(self) -> transaction.Atomic:
        while True:
            block = transaction.atomic()
            nested = connection.in_atomic_block
            try:
                block.__enter__()
            except DATABASE_ERRORS as error:
                self._await_database(nested, error)
                continue
            try:
                # Counted before the lock is asked for: the pulse may find the row locked before this returns.
                self._fences += 1
                rows = services.running(self.job.pk, self.attempt).select_for_update(no_key=True)
                if rows.values_list("pk").first() is None:
                    self.replaced.set()
                    raise Replaced
                if not nested:
                    self._bound_idle()
            except BaseException as error:
                self._fence_leave(block, error)
                if not isinstance(error, DATABASE_ERRORS):
                    raise
                self._await_database(nested, error)
            else:
                return block

    def _bound_idle(self) -> None:
        """Lets the database end this transaction, and its lock, if the process freezes inside it."""
        seconds = settings.JOB_LEASE_SECONDS * IDLE_LEASES
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [f"{seconds}s"])

    def _fence_leave(self, block: transaction.Atomic, error: BaseException | None) -> None:
        try:
            if error is None:
                block.__exit__(None, None, None)
            else:
                block.__exit__(type(error), error, error.__traceback__)
        finally:
            self._fences -= 1

    def _await_database(self, nested: bool, error: Exception) -> None:
        """Before the next try. How long it may be away is the watchdog's business: until the lease ends."""
        if nested:  # the outer transaction is lost
            raise error
        log.warning("database away", error=str(error).strip())
        connection.close()
        time.sleep(min(FLUSH_SECONDS, settings.JOB_HEARTBEAT_SECONDS))
        if self.replaced.is_set():
            raise Replaced

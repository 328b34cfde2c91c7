"""Work beside a test's own transaction, in another thread and on a connection of its own."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection

WAIT_SECONDS = 30


def own_connection(work: Callable[[], Any]) -> Any:
    """Calls `work` and closes the thread's connection, which would else keep the test's database in use."""
    try:
        return work()
    finally:
        connection.close()


def beside(work: Callable[[], Any]) -> Future[Any]:
    """Starts `work` in another thread; returns when it waits for a lock of this one's transaction, or has ended."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(own_connection, work)
    pool.shutdown(wait=False)
    end = time.monotonic() + WAIT_SECONDS
    while not future.done() and not is_somebody_waiting():
        assert time.monotonic() < end
        time.sleep(0.02)
    return future


def is_somebody_waiting() -> bool:
    """Whether a connection waits for a lock that another one holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])

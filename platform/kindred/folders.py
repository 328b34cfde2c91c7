"""The folders that the processes of one site share on this host."""

import stat
import tempfile
from hashlib import sha256
from os import geteuid
from pathlib import Path

# A Unix socket's path may have 107 bytes; the longest of ours adds about 45 to the folder for temporary files.
LONGEST_TEMP_DIR = 60


def key_of(data_dir: Path) -> str:
    """A short name for a data folder, the same in every process."""
    return sha256(str(data_dir).encode()).hexdigest()[:12]


def runtime_dir(data_dir: Path) -> Path:
    """Where the sockets and the lock of a site live: short, and different for every user and data folder."""
    temp_dir = tempfile.gettempdir()
    if len(temp_dir.encode()) > LONGEST_TEMP_DIR:
        temp_dir = "/tmp"  # noqa: S108  (what is in it is checked by `private_dir_make`)
    return Path(temp_dir) / f"kindred-{geteuid()}-{key_of(data_dir)}"


def private_dir_make(path: Path) -> None:
    """Makes a folder that only its owner may enter.

    Raises PermissionError when there is one that belongs to somebody else or is open to others: anybody may make
    folders among the temporary files, and whoever owns ours could put their own sockets into it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != geteuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{path} belongs to somebody else or is open to others. Remove it, or set TMPDIR to a folder of your own."
        )

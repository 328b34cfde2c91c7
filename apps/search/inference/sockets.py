"""The socket that the process listens on."""

import contextlib
import os
import socket
import stat
from pathlib import Path

BACKLOG = 512


class InUse(Exception):  # noqa: N818
    """Another process serves there already."""


def unix_socket(path: Path) -> socket.socket:
    """A listening Unix socket (0600) in a folder that only its owner may enter (0700).

    What a dead process left under its name is replaced. Raises InUse, or PermissionError for a folder that belongs to
    somebody else or is open to others.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{path.parent} belongs to somebody else or is open to others. Remove it.")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise InUse(f"An inference process serves at {path} already. Stop that one first.")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    return listener


def tcp_socket(bind: str) -> socket.socket:
    """A listening TCP socket at `host:port`. Raises ValueError for anything else, OSError where it is taken."""
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"KINDRED_INFERENCE_BIND is {bind!r}; it must be host:port, say 0.0.0.0:8100.")
    return socket.create_server((host.strip("[]"), int(port)), backlog=BACKLOG, family=_family(host))


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

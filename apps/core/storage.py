"""Files on the local disk that are there whole or not at all."""

import os
import uuid
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

# Written by the thousand, and made again or imported again where a power cut takes one: not synced one by one.
UNSYNCED = ("images/", "thumbs/")


class DurableStorage(FileSystemStorage):
    """Django's storage, but a file gets its name only once it is complete and on the disk.

    So a file that exists is whole, whoever wrote it and however that ended; two writers of one name do not meet.
    """

    def _save(self, name: str, content: File[bytes]) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.parent / f".{uuid.uuid4().hex}.partial"
        is_synced = not name.startswith(UNSYNCED)
        try:
            with partial.open("xb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                if is_synced:
                    file.flush()
                    os.fsync(file.fileno())
            while True:
                try:
                    os.link(partial, path)  # unlike a rename, never takes the place of a file that is there
                    break
                except FileExistsError:
                    name = self.get_available_name(name)
                    path = Path(self.path(name))
        finally:
            partial.unlink(missing_ok=True)
        if is_synced:
            folder_sync(path.parent)
        return name


def folder_sync(folder: Path) -> None:
    """Puts the names in a folder onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

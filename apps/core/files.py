"""Folders of the storage: what lies in them, and getting rid of it."""

import contextlib
from collections.abc import Collection, Iterator
from datetime import timedelta

import structlog
from django.core.files.storage import default_storage
from django.utils import timezone

log = structlog.get_logger(__name__)

# A file is written before the row that names it, within the same breath. What has lain for a day without one was left.
LITTER_AGE = timedelta(days=1)


def folder_list(folder: str) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder; none of either where it is not there."""
    try:
        return default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []


def files_under(folder: str) -> Iterator[str]:
    """The keys of all files in a folder and in those below it."""
    folders, files = folder_list(folder)
    for name in files:
        yield f"{folder}/{name}"
    for name in folders:
        yield from files_under(f"{folder}/{name}")


def folder_delete(folder: str) -> None:
    """Deletes a folder with all that is in it. What cannot be deleted stays, and is logged; the sweep comes again."""
    folders, files = folder_list(folder)
    for name in folders:
        folder_delete(f"{folder}/{name}")
    try:
        for name in files:
            default_storage.delete(f"{folder}/{name}")
        default_storage.delete(folder)
    except OSError as error:
        log.warning("files could not be deleted", folder=folder, error=str(error))


def unnamed_sweep(folder: str, named: Collection[str]) -> int:
    """Deletes the files under a folder that are older than LITTER_AGE and not named; returns how many.

    named: what rows name, keys of files or of the folders that they lie in.
    """
    count = 0
    for key in files_under(folder):
        if key not in named and key.rpartition("/")[0] not in named and is_litter(key):
            default_storage.delete(key)
            count += 1
    return count


def is_litter(key: str) -> bool:
    """Whether a file that nothing names is old enough to have been left behind; False for one that is gone."""
    with contextlib.suppress(FileNotFoundError):
        return default_storage.get_modified_time(key) < timezone.now() - LITTER_AGE
    return False

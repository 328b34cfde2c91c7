"""Folders of the storage."""

import os
import time

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from apps.core.files import files_under, folder_delete, is_litter, unnamed_sweep


def keep(*keys: str, age_hours: float = 0) -> None:
    for key in keys:
        default_storage.save(key, ContentFile(b"content"))
        then = time.time() - 3600 * age_hours
        os.utime(default_storage.path(key), (then, then))


def test_all_files_of_a_folder() -> None:
    keep("runs/1/a", "runs/1/2/b", "models/c")
    assert sorted(files_under("runs")) == ["runs/1/2/b", "runs/1/a"]
    assert list(files_under("nowhere")) == []


def test_a_folder_goes_with_all_that_is_in_it_and_nothing_else() -> None:
    keep("runs/1/2/a", "runs/1/b", "runs/10/c")
    folder_delete("runs/1")
    folder_delete("runs/1")  # twice is fine
    assert list(files_under("runs")) == ["runs/10/c"]
    assert default_storage.listdir("runs") == (["10"], [])


def test_the_sweep_takes_what_is_old_and_not_named() -> None:
    keep("runs/1/1/model/config.json", "runs/1/1/checkpoint-1", "runs/1/1/checkpoint-2", "runs/2/1/x", age_hours=25)
    keep("runs/1/2/checkpoint-3", age_hours=23)
    assert unnamed_sweep("runs", {"runs/1/1/model", "runs/1/1/checkpoint-2"}) == 2
    assert sorted(files_under("runs")) == [
        "runs/1/1/checkpoint-2",
        "runs/1/1/model/config.json",
        "runs/1/2/checkpoint-3",
    ]
    assert not is_litter("runs/2/1/x")  # gone already: somebody else swept it

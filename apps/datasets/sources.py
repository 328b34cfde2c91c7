"""How mlcore reads photos of the site: by their keys in the storage. No torch."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage


@dataclass(frozen=True)
class StorageSource:
    """`source(image_key) -> bytes`. Holds nothing, so that a data-loading process can be given one."""

    def __call__(self, key: str) -> bytes:
        with default_storage.open(key) as file:
            data: bytes = file.read()
        return data


def photo_cache_dir() -> Path:
    """Where this machine keeps decoded photos, for all trainings, reports and indexes. May be deleted at any time."""
    return Path(settings.DATA_DIR) / "cache" / "photos"

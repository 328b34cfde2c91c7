"""Getting rid of photos that neither a sample nor a snapshot names any more.

A photo may be in use before a row says so: an import stores its files first and writes their rows a chunk later, and
finds those that are there already. So a chunk and a sweep exclude each other (`photos_hold`, and the lock in
`photos_sweep`), each for one short transaction; a chunk whose files were swept before it began stores them once more.
A snapshot names photos in its manifest, which outlives its samples; manifests are read when there is a photo to judge.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from apps.core.errors import Unavailable
from apps.core.files import folder_list, is_litter
from apps.datasets.models import Image, Sample, Snapshot
from apps.datasets.photos import THUMB_SIZES, image_key, thumb_key

log = structlog.get_logger(__name__)

LOCK = 7_250_104  # any number that nothing else in this database locks
PREFIXES = tuple(f"{number:02x}" for number in range(256))  # of SHA-256, and so the folders of images/ and thumbs/


class PhotosGone(Unavailable):
    """Photos were swept between being stored and being written down."""


def photos_hold(sha256: Iterable[str]) -> None:
    """Keeps photos from being swept until the transaction ends. Raises PhotosGone when one is not in the storage."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
    gone = [each for each in sha256 if not default_storage.exists(image_key(each))]
    if gone:
        raise PhotosGone(
            f"{len(gone):,} photos are no longer in the storage, {gone[0][:12]} among them.",
            remedy="Import them again.",
        )


class FrozenPhotos:
    """The keys of the photos that snapshots name. Reads a manifest once; of later calls, only those that are new."""

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._keys: set[str] = set()
        self.is_complete = True  # else a manifest is damaged, and any photo may be one that it names

    def keys(self) -> set[str]:
        for pk, manifest_key in Snapshot.objects.exclude(pk__in=self._read).values_list("pk", "manifest_key"):
            try:
                with default_storage.open(manifest_key) as file:
                    self._keys.update(pq.read_table(file, columns=["image_key"])["image_key"].to_pylist())
            except FileNotFoundError:
                pass  # a snapshot without a manifest names nothing any more
            except pa.ArrowException as error:
                log.warning("a snapshot's manifest is damaged; no photo is deleted", snapshot_id=pk, error=str(error))
                self.is_complete = False
            self._read.add(pk)
        return self._keys


@transaction.atomic
def photos_sweep(*, prefix: str, frozen: FrozenPhotos | None = None) -> int:
    """Removes the photos that no sample and no snapshot names, of those whose SHA-256 begins with one of PREFIXES, and
    the thumbnails that no sample names.

    frozen: the same object for all prefixes spares reading the manifests for each.

    Returns how many files went. Rows first; the files inside the same transaction, so that an import which waits for it
    finds either both or neither. A crash in between leaves rows without files, which the next sweep takes.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    folders = [f"images/{prefix}", *(f"thumbs/{size}/{prefix}" for size in THUMB_SIZES)]
    # Listed before the rows are read: a thumbnail that is made meanwhile is not in the list.
    found = [f"{folder}/{name}" for folder in folders for name in folder_list(folder)[1]]
    images = Image.objects.filter(sha256__startswith=prefix)
    images.filter(~Exists(Sample.objects.filter(image=OuterRef("pk")))).delete()
    named: set[str] = set()
    for sample in Sample.objects.filter(image__in=images).select_related("image"):
        named |= {sample.image.key, *(thumb_key(sample, size) for size in THUMB_SIZES)}
    # The samples were looked at before: of what went from them since, a snapshot that names it is seen now.
    if any(key not in named for key in found):
        frozen = frozen or FrozenPhotos()
        named |= frozen.keys()
        if not frozen.is_complete:
            found = [key for key in found if not key.startswith("images/")]
    count = 0
    for key in found:
        is_partial = key.rpartition("/")[2].startswith(".")  # being written, unless its writer died
        if key not in named and (not is_partial or is_litter(key)):
            default_storage.delete(key)
            count += 1
    return count

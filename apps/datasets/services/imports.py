"""Imports: taking an upload in, and writing what became of its files."""

import contextlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from apps.accounts.models import Role, User
from apps.core.errors import BadInput
from apps.datasets.importing.plan import Box, Row
from apps.datasets.models import Category, Dataset, Image, Import, ImportFile, Label, Sample
from apps.datasets.photos import PhotoFacts, disk_full_explained
from apps.datasets.selectors.datasets import role_require
from apps.datasets.services.datasets import dataset_hold
from apps.datasets.services.labels import label_category_spread
from apps.datasets.services.photos import photos_hold
from apps.jobs.services import job_submit

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class Taken:
    """A row whose file was read: its facts, or why it is refused."""

    row: Row
    facts: PhotoFacts | None
    refusal: str = ""


def import_create(*, dataset: Dataset, file: File[bytes], file_name: str, user: User) -> Import:
    """Keeps an upload and submits the job that brings it in.

    Raises Forbidden below the role of a manager; BadInput for what is no zip; DiskFull, and then nothing is kept.
    Not one transaction: the file is stored before any row names it, and removed when the rows cannot be written.
    """
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    file_name = file_name.replace("\0", "")[-300:] or "upload.zip"
    file.seek(0)
    if file.read(4) not in ZIP_MAGIC:
        raise BadInput(
            f"{file_name} is not a zip.", remedy="Pack the photos, in folders or with their table, into one zip."
        )
    file.seek(0)
    size_bytes = file.size  # asked before the storage takes it, which may move the file away
    key = f"uploads/{dataset.pk}/{uuid.uuid4().hex}.zip"
    try:
        with disk_full_explained():
            key = default_storage.save(key, file)
        with transaction.atomic():
            dataset_import = Import.objects.create(
                dataset=dataset, file_name=file_name, upload_key=key, size_bytes=size_bytes, created_by=user
            )
            dataset_import.job = job_submit(
                kind="import",
                title=f"Import {file_name} into {dataset.name}",
                payload={"import": dataset_import.pk},
                owner=user,
                dataset=dataset,
            )
            dataset_import.save(update_fields=["job"])
    except BaseException:
        upload_remove(key=key)
        raise
    return dataset_import


def upload_remove(*, key: str) -> None:
    """Removes an upload that is done with; one that is gone already is fine."""
    if key:
        with contextlib.suppress(OSError):
            default_storage.delete(key)


def import_chunk_add(*, dataset_import: Import, taken: Sequence[Taken]) -> dict[str, int]:
    """Writes the samples of a chunk together with the ledger of their files. Returns how many had each outcome.

    To be called inside `context.fenced()`, which is its transaction: both are there afterwards, or neither. Raises
    PhotosGone when files were swept since they were stored.
    """
    dataset = dataset_import.dataset
    good = [each for each in taken if each.facts is not None]
    photos_hold({each.facts.sha256 for each in good if each.facts is not None})
    # One chunk at a time per dataset: two imports of the same photos must not both find them missing.
    dataset_hold(dataset.pk)
    images = _images(each.facts for each in good if each.facts is not None)
    present: dict[tuple[int, Box | None], Sample] = {
        (sample.image_id, sample.box): sample
        for sample in Sample.objects.filter(dataset=dataset, image__in=images.values()).select_related("label")
    }
    labels = _labels(dataset, [each.row for each in good])
    new: list[Sample] = []
    ledger: list[ImportFile] = []
    for each in taken:
        row = each.row
        entry = ImportFile(dataset_import=dataset_import, position=row.position, path=row.path[:1000])
        ledger.append(entry)
        if each.facts is None:
            entry.outcome = ImportFile.Outcome.REFUSED
            entry.message = each.refusal[:500]
            continue
        place = (images[each.facts.sha256], row.box)
        first = present.get(place)
        if first is not None:
            entry.outcome = ImportFile.Outcome.DUPLICATE
            entry.message = _duplicate_text(first, row)
            entry.sample = first
            continue
        label = labels.get(row.label)
        box = row.box or (None, None, None, None)
        sample = Sample(
            dataset=dataset,
            image_id=place[0],
            label=label,
            category_id=label.category_id if label else None,
            path=row.path,
            split=row.split,
            is_query=row.is_query,
            is_gallery=row.is_gallery,
            sequence=row.sequence,
            x_1=box[0],
            y_1=box[1],
            x_2=box[2],
            y_2=box[3],
        )
        present[place] = sample
        new.append(sample)
        entry.outcome = ImportFile.Outcome.ADDED
        entry.sample = sample
    Sample.objects.bulk_create(new)
    for entry in ledger:  # a sample has its id only now
        entry.sample_id = entry.sample.pk if entry.sample is not None else None
    ImportFile.objects.bulk_create(ledger)
    counts: dict[str, int] = {}
    for entry in ledger:
        counts[str(entry.outcome)] = counts.get(str(entry.outcome), 0) + 1
    return counts


def _duplicate_text(first: Sample, row: Row) -> str:
    name = first.label.name if first.label else ""
    other = f", with the label {name or '(none)'}, which it keeps" if name != row.label else ""
    what = "The same photo" if row.box is None else "The same box of the same photo"
    return f"{what} is already there as {first.path}{other}."[:500]


def _images(facts: Iterable[PhotoFacts]) -> dict[str, int]:
    """The ids of images by SHA-256; those that are new are made."""
    by_hash = {each.sha256: each for each in facts}
    # In one order everywhere, so that two imports into different datasets cannot wait for each other.
    Image.objects.bulk_create(
        [
            Image(
                sha256=each.sha256,
                width=each.width,
                height=each.height,
                format=each.format,
                size_bytes=each.size_bytes,
            )
            for each in sorted(by_hash.values(), key=lambda each: each.sha256)
        ],
        ignore_conflicts=True,
    )
    return dict(Image.objects.filter(sha256__in=by_hash).values_list("sha256", "pk"))


def _labels(dataset: Dataset, rows: Sequence[Row]) -> dict[str, Label]:
    """The labels of rows by name, locked; those that are new are made, one without a category gets the rows'.

    The caller holds the dataset's row, as whoever edits labels does: see labels.py.
    """
    wanted: dict[str, str] = {}
    for row in rows:
        if row.label:
            wanted[row.label] = wanted.get(row.label) or row.category
    names = {category for category in wanted.values() if category}
    Category.objects.bulk_create(
        [Category(dataset=dataset, name=name) for name in sorted(names)], ignore_conflicts=True
    )
    categories: Mapping[str, int] = dict(
        Category.objects.filter(dataset=dataset, name__in=names).values_list("name", "pk")
    )
    Label.objects.bulk_create(
        [
            Label(dataset=dataset, name=name, category_id=categories.get(category))
            for name, category in sorted(wanted.items())
        ],
        ignore_conflicts=True,
    )
    locked = Label.objects.filter(dataset=dataset, name__in=wanted).order_by("pk").select_for_update(no_key=True)
    labels = {label.name: label for label in locked}
    for name, label in labels.items():
        category_id = categories.get(wanted[name])
        if label.category_id is None and category_id is not None:
            label.category_id = category_id
            label.version += 1
            Label.objects.filter(pk=label.pk).update(category=category_id, version=label.version)
            label_category_spread(label=label)
    return labels

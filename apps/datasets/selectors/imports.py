"""Imports and the fates of their files."""

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.datasets.importing.plan import KnownLabel
from apps.datasets.models import Dataset, Import, ImportFile, Label, Sample
from apps.datasets.selectors.pages import Page, page_of

FILES_PAGE_SIZE = 100


def imports_list(*, user: User) -> QuerySet[Import]:
    """All imports that a person may see, newest first."""
    mine = Dataset.objects.for_user(user).values("pk")
    return Import.objects.filter(dataset__in=mine).select_related("dataset", "job", "created_by").order_by("-pk")


def import_files_page(
    *, dataset_import: Import, outcome: str = "", after: int | None = None, before: int | None = None
) -> Page[ImportFile]:
    """The fates of an import's files, of one outcome if given."""
    rows = ImportFile.objects.filter(dataset_import=dataset_import)
    if outcome:
        rows = rows.filter(outcome=outcome)
    return page_of(rows, after=after, before=before, limit=FILES_PAGE_SIZE)


def import_unlabelled(*, dataset_import: Import) -> int:
    """How many of the samples that an import added have no label by now."""
    added = ImportFile.objects.filter(dataset_import=dataset_import, outcome=ImportFile.Outcome.ADDED)
    return added.filter(sample__isnull=False, sample__label=None).count()


def known_labels(*, dataset: Dataset) -> dict[str, KnownLabel]:
    """The dataset's labels by name, each with its category and the one split that its samples lie in."""
    splits: dict[str, set[str]] = {}
    used = Sample.objects.filter(dataset=dataset, label__isnull=False).exclude(split="")
    for name, split in used.values_list("label__name", "split").distinct().order_by():
        splits.setdefault(str(name), set()).add(split)
    return {
        name: KnownLabel(category or "", splits[name].copy().pop() if len(splits.get(name, ())) == 1 else "")
        for name, category in Label.objects.filter(dataset=dataset).values_list("name", "category__name")
    }

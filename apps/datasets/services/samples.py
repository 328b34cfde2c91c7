"""Editing and deleting samples: one, or all that a person selected."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Q

from apps.accounts.models import Role, User
from apps.core.errors import BadInput, Conflict
from apps.datasets.models import Dataset, Sample, Split
from apps.datasets.selectors.datasets import role_require
from apps.datasets.selectors.samples import SampleFilter, samples_list
from apps.datasets.services.datasets import dataset_lock
from apps.datasets.services.labels import label_locked

ROWS_PER_UPDATE = 5000


@transaction.atomic
def samples_update(
    *,
    dataset: Dataset,
    user: User,
    sample_ids: Sequence[int] | SampleFilter,
    label: str | None = None,
    split: str | None = None,
    is_query: bool | None = None,
    is_gallery: bool | None = None,
    expected_count: int | None = None,
) -> int:
    """Changes many samples at once; None leaves a value as it is, a label "" is taken away. Returns how many.

    sample_ids: ids, or the filter whose every match is meant; then `expected_count` is the number that the person saw.
    A label that does not exist yet is made. A move to train clears the flags, for nothing searches there; a move to
    validation sets both where none is set. Raises Forbidden below the role of an annotator; Conflict when the number
    of samples is not the one seen (`extra["current"]`); BadInput for a change that cannot be.
    """
    role_require(user=user, dataset=dataset, role=Role.ANNOTATOR)
    if label is None and split is None and is_query is None and is_gallery is None:
        raise BadInput("Nothing to change was given.", remedy="Choose a label, a split or a flag.")
    if split is not None and split not in Split.values:
        raise BadInput(f"“{split[:50]}” is not a split.", remedy="Choose train or validation.")
    if split == Split.TRAIN and (is_query or is_gallery):
        raise BadInput(
            "Train samples neither search nor are searched.", remedy="Leave both flags off, or choose validation."
        )
    made = label_locked(dataset=dataset, name=label, user=user) if label else None  # before the samples: see labels.py
    ids = _lock(dataset, sample_ids, expected_count)
    for begin in range(0, len(ids), ROWS_PER_UPDATE):
        rows = Sample.objects.filter(pk__in=ids[begin : begin + ROWS_PER_UPDATE])
        if split is None and (is_query or is_gallery):
            idle = rows.exclude(split=Split.VALIDATION).count()
            if idle:
                raise _idle(idle, len(ids))
    values: dict[str, object] = {"version": F("version") + 1}
    if label is not None:
        values |= {"label": made, "category": made.category if made else None}
    if split is not None:
        values["split"] = split
    if split == Split.TRAIN:
        values |= {"is_query": False, "is_gallery": False}
    for name, value in (("is_query", is_query), ("is_gallery", is_gallery)):
        if value is not None:
            values[name] = value
    for begin in range(0, len(ids), ROWS_PER_UPDATE):
        rows = Sample.objects.filter(pk__in=ids[begin : begin + ROWS_PER_UPDATE])
        if split == Split.VALIDATION and is_query is None and is_gallery is None:
            idle_ids = list(rows.filter(~Q(is_query=True), ~Q(is_gallery=True)).values_list("pk", flat=True))
            rows.update(**values)
            Sample.objects.filter(pk__in=idle_ids).update(is_query=True, is_gallery=True)
        else:
            rows.update(**values)
    return len(ids)


def _idle(idle: int, count: int) -> BadInput:
    """`idle` of `count` samples can have no flags."""
    if idle == 1:
        what = "This sample" if count == 1 else f"1 of these {count:,} samples"
        text = f"{what} is not in the validation split, so it can be neither query nor gallery."
        return BadInput(text, remedy="Move it to validation first.")
    what = f"These {count:,} samples" if idle == count else f"{idle:,} of these {count:,} samples"
    text = f"{what} are not in the validation split, so they can be neither query nor gallery."
    return BadInput(text, remedy="Move them to validation first.")


@transaction.atomic
def samples_delete(
    *, dataset: Dataset, user: User, sample_ids: Sequence[int] | SampleFilter, expected_count: int | None = None
) -> int:
    """Deletes many samples for good; their labels stay. Returns how many.

    sample_ids, expected_count: as for `samples_update`. Reports keep what they froze, and show such a sample as
    deleted. Photos that no other sample shows and no snapshot names go with the next sweep. Raises Forbidden below the
    role of a manager; Conflict when the number of samples is not the one seen; InUse while a job waits or runs on the
    dataset, which may be reading them.
    """
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    dataset_lock(dataset=dataset, what="its samples")
    ids = _lock(dataset, sample_ids, expected_count, no_key=False)
    for begin in range(0, len(ids), ROWS_PER_UPDATE):
        Sample.objects.filter(pk__in=ids[begin : begin + ROWS_PER_UPDATE]).delete()
    return len(ids)


def _lock(
    dataset: Dataset, sample_ids: Sequence[int] | SampleFilter, expected_count: int | None, *, no_key: bool = True
) -> list[int]:
    """The ids that are meant, their rows locked. Raises Conflict when there are not as many as expected."""
    if isinstance(sample_ids, SampleFilter):
        rows = samples_list(dataset=dataset, where=sample_ids)
        seen = expected_count
    else:
        rows = Sample.objects.filter(dataset=dataset, pk__in=sample_ids).order_by("pk")
        seen = len(set(sample_ids)) if expected_count is None else expected_count
    ids = list(rows.select_for_update(no_key=no_key, of=("self",)).values_list("pk", flat=True))
    if seen is not None and len(ids) != seen:
        raise Conflict(
            f"{seen:,} samples were selected, but now {len(ids):,} match. Nothing was changed.",
            remedy="Look at the list as it is now, and do it again.",
            extra={"current": {"count": len(ids)}},
        )
    return ids


@transaction.atomic
def sample_edit(
    *,
    sample: Sample,
    user: User,
    version: int,
    label: str | None = None,
    split: str | None = None,
    is_query: bool | None = None,
    is_gallery: bool | None = None,
) -> Sample:
    """Changes one sample; None leaves a value as it is, a label "" is taken away.

    version: the one that the change is based on. Raises Conflict when it is no longer current (`extra["current"]`
    holds the sample as it is); otherwise as `samples_update`.
    """
    role_require(user=user, dataset=sample.dataset, role=Role.ANNOTATOR)
    if label:
        label_locked(dataset=sample.dataset, name=label, user=user)  # before the sample: see labels.py
    rows = Sample.objects.select_for_update(of=("self",), no_key=True).select_related("label")
    current = rows.filter(pk=sample.pk).first()
    if current is None:
        raise Conflict("The sample was deleted meanwhile.", remedy="Go back to the list as it is now.")
    if current.version != version:
        raise Conflict(
            f"The sample's label is now {current.label or '(none)'}, its split {current.split or '(none)'}.",
            remedy="Look at it as it is now, and change it again if you still want to.",
            extra={"current": sample_state(current)},
        )
    samples_update(
        dataset=sample.dataset,
        user=user,
        sample_ids=[sample.pk],
        label=label,
        split=split,
        is_query=is_query,
        is_gallery=is_gallery,
    )
    return Sample.objects.select_related("label", "category", "image", "dataset").get(pk=sample.pk)


def sample_state(sample: Sample) -> dict[str, object]:
    """What a person who edits it compares with."""
    return {
        "label": sample.label.name if sample.label else "",
        "split": sample.split,
        "is_query": sample.is_query,
        "is_gallery": sample.is_gallery,
        "version": sample.version,
    }

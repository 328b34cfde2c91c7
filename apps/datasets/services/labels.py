"""Labels and categories.

`Sample.category` repeats its label's category, so whoever writes either holds the label's row. Rows are locked in one
order everywhere, so that nobody waits in a circle: the dataset's (imports and edits of labels; bulk edits of samples do
without), categories, labels, samples. Who takes several labels takes the dataset first.
"""

from django.db import IntegrityError, transaction

from apps.accounts.models import Role, User
from apps.core.errors import BadInput, Conflict
from apps.datasets.models import Category, Dataset, Label, Sample
from apps.datasets.selectors.datasets import role_require
from apps.datasets.services.datasets import InUse, dataset_hold

MAX_NAME = 200


class NameTaken(Conflict):
    """Another label has the name."""

    title = "That name is taken"


def name_clean(name: str, what: str) -> str:
    """A name without spaces around it. Raises BadInput when it is empty, too long, or cannot be stored."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise BadInput(f"A {what} needs a name of 1 to {MAX_NAME} characters.", remedy="Choose another name.")
    return name


@transaction.atomic
def category_create(*, dataset: Dataset, name: str, user: User) -> Category:
    """The category of this name, made when there is none. Raises Forbidden, BadInput."""
    role_require(user=user, dataset=dataset, role=Role.ANNOTATOR)
    return Category.objects.get_or_create(dataset=dataset, name=name_clean(name, "category"))[0]


@transaction.atomic
def label_create(*, dataset: Dataset, name: str, category: str = "", user: User) -> Label:
    """The label of this name, made when there is none; one that is there keeps its category.

    Raises Forbidden below the role of an annotator, BadInput.
    """
    role_require(user=user, dataset=dataset, role=Role.ANNOTATOR)
    group = category_create(dataset=dataset, name=category, user=user) if category.strip() else None
    return Label.objects.get_or_create(dataset=dataset, name=name_clean(name, "label"), defaults={"category": group})[0]


def label_locked(*, dataset: Dataset, name: str, user: User) -> Label:
    """The label of this name, made when there is none, as it is now and will be until the transaction ends.

    For who gives it to samples, before their rows are locked. One that is just being renamed is the same label, under
    its new name. Raises as `label_create`.
    """
    while True:
        made = label_create(dataset=dataset, name=name, user=user)
        label = Label.objects.select_for_update(no_key=True).filter(pk=made.pk).first()
        if label is not None:  # else somebody was just deleting it: made anew
            return label


@transaction.atomic
def label_rename(*, label: Label, name: str, version: int, user: User) -> Label:
    """Renames a label. See `label_edit`."""
    return label_edit(label=label, version=version, user=user, name=name)


@transaction.atomic
def label_edit(
    *, label: Label, version: int, user: User, name: str | None = None, category: str | None = None
) -> Label:
    """Changes a label's name or category ("": none; a new one is made); its samples' category goes with it.

    version: the one that the change is based on. Raises Conflict when it is no longer current (`extra["current"]`
    holds the label as it is), NameTaken, Forbidden, BadInput.
    """
    role_require(user=user, dataset=label.dataset, role=Role.ANNOTATOR)
    dataset = dataset_hold(label.dataset_id)
    group = category_create(dataset=dataset, name=category, user=user) if category and category.strip() else None
    current = _current(label, version)
    if name is not None:
        current.name = name_clean(name, "label")
    is_moved = category is not None and group != current.category
    if is_moved:
        current.category = group
    current.version += 1
    try:
        with transaction.atomic():
            current.save(update_fields=["name", "category", "version"])
    except IntegrityError:
        raise NameTaken(
            f"There is a label called {current.name} already.",
            remedy="Choose another name; to join the two, give its samples that label.",
        ) from None
    if is_moved:
        label_category_spread(label=current)
    return current


@transaction.atomic
def label_delete(*, label: Label, version: int, user: User) -> None:
    """Deletes a label that has no samples. What was frozen or reported under its name keeps it.

    version: the one that was seen. Raises Forbidden below the role of an annotator, Conflict as `label_edit`, InUse for
    a label that has samples.
    """
    role_require(user=user, dataset=label.dataset, role=Role.ANNOTATOR)
    dataset_hold(label.dataset_id)
    current = _current(label, version)
    count = Sample.objects.filter(label=current).count()  # none is given it now: that needs its row, see `label_locked`
    if count:
        raise InUse(
            f"{current.name} has {count:,} sample{'' if count == 1 else 's'}, so it cannot be deleted.",
            remedy="Give them another label, or delete them, first.",
            extra={"current": {**label_state(current), "samples": count}},
        )
    current.delete()


def _current(label: Label, version: int) -> Label:
    """A label as it is now, locked. Raises Conflict when that is no longer `version`."""
    rows = Label.objects.select_for_update(of=("self",)).select_related("category")
    current = rows.filter(pk=label.pk).first()
    if current is None:
        raise Conflict(f"The label {label.name} was deleted meanwhile.", remedy="Make it anew if you still need it.")
    if current.version != version:
        raise Conflict(
            f"The label is now called {current.name}, in the category {current.category or '(none)'}.",
            remedy="Look at it as it is now, and change it again if you still want to.",
            extra={"current": label_state(current)},
        )
    return current


def label_category_spread(*, label: Label) -> None:
    """Gives the samples of a label, which is locked, its category. Locks them by id, as bulk edits do."""
    rows = Sample.objects.filter(label=label)
    list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    rows.update(category=label.category_id)


def label_state(label: Label) -> dict[str, object]:
    """What a person who edits it compares with."""
    return {
        "name": label.name,
        "category": label.category.name if label.category else "",
        "version": label.version,
    }

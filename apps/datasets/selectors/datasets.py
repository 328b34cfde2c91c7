"""Datasets as a person sees them: their role, counts, and what to do next."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db.models import Count, F, Max, Q, Window
from django.db.models.functions import RowNumber

from apps.accounts.models import Membership, Role, User
from apps.core.errors import Forbidden
from apps.datasets.models import Category, Dataset, DatasetQuerySet, Label, Sample, Split
from apps.datasets.selectors.members import managers_named

CARD_PHOTOS = 4
# What was made from a dataset, by relations: the apps of most lie above this one.
MADE = {"snapshots": "snapshots", "runs": "runs", "reports": "snapshots__evaluations", "models": "zoo_models"}


@dataclass(frozen=True)
class DatasetCard:
    """A dataset in the list: its figures and a few photos."""

    dataset: Dataset
    samples: int
    labels: int
    categories: int
    photos: list[Sample] = field(default_factory=list)
    removal: str = ""  # what goes with it, where the person may remove it by one press


@dataclass(frozen=True)
class Step:
    """One step from photos to search. `done`; `note`: how far it is, or what it needs."""

    name: str
    title: str
    note: str
    done: bool


def datasets_list(*, user: User) -> DatasetQuerySet:
    return Dataset.objects.for_user(user).order_by("name")


def role_in(*, user: User, dataset: Dataset) -> int:
    """A person's role in a dataset; 0 for none. Superusers are managers of everything."""
    if user.is_superuser:
        return Role.MANAGER
    return Membership.objects.filter(user=user, dataset=dataset).values_list("role", flat=True).first() or 0


def role_require(*, user: User, dataset: Dataset, role: Role) -> None:
    """Raises Forbidden for a member whose role is too low."""
    if role_in(user=user, dataset=dataset) < role:
        whom = managers_named(dataset=dataset)
        raise Forbidden(
            f"This needs the role {role.label} in {dataset.name}.",
            remedy=f"Ask a manager of the dataset for it{f': {whom}' if whom else ''}.",
        )


def dataset_cards(*, user: User) -> list[DatasetCard]:
    """All datasets of a person, in as many queries for one as for many."""
    datasets = list(datasets_list(user=user))
    ids = [dataset.pk for dataset in datasets]
    counts = [
        dict(rows.filter(dataset__in=ids).values_list("dataset").annotate(Count("pk")).order_by())
        for rows in (Sample.objects, Label.objects, Category.objects)
    ]
    photos: dict[int, list[Sample]] = {}
    # The first sample of a dataset's first labels: as varied as it gets without reading them all.
    first = Label.objects.filter(dataset__in=ids).annotate(
        place=Window(RowNumber(), partition_by=F("dataset"), order_by="pk")
    )
    chosen = first.filter(place__lte=CARD_PHOTOS).values("pk")
    firsts = (
        Sample.objects.filter(label__in=[row["pk"] for row in chosen])
        .order_by("dataset", "label", "pk")
        .distinct("dataset", "label")
    )
    for sample in firsts:
        photos.setdefault(sample.dataset_id, []).append(sample)
    samples, labels, categories = counts
    demos = [dataset.pk for dataset in datasets if dataset.is_demo]
    own = set(Dataset.objects.for_user(user, Role.MANAGER).filter(pk__in=demos).values_list("pk", flat=True))
    removals = {
        pk: removal_text({"samples": samples.get(pk, 0), "labels": labels.get(pk, 0), **made})
        for pk, made in made_counts(own).items()
    }
    return [
        DatasetCard(
            dataset,
            samples.get(dataset.pk, 0),
            labels.get(dataset.pk, 0),
            categories.get(dataset.pk, 0),
            photos.get(dataset.pk, []),
            removals.get(dataset.pk, ""),
        )
        for dataset in datasets
    ]


def made_counts(dataset_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """How many of each of MADE there are of each dataset; no query for none."""
    counts: dict[int, dict[str, int]] = {pk: {} for pk in dataset_ids}
    for name, relation in MADE.items():
        rows = Dataset.objects.filter(pk__in=dataset_ids).order_by().values_list("pk").annotate(Count(relation))
        for pk, count in rows:
            counts[pk][name] = count
    return counts


def removal_text(counts: Mapping[str, int]) -> str:
    """What goes for good when a dataset is deleted: "678 samples, 105 labels, 1 run and 1 model go for good, ..."."""
    words = [
        f"{counts[name]:,} {name if counts[name] != 1 else name[:-1]}"
        for name in ("samples", "labels", *MADE)
        if counts[name]
    ]
    if not words:
        return "It is empty."
    listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    return f"{listed} go for good, with all their files."


def dataset_counts(*, dataset: Dataset) -> dict[str, int]:
    """samples, unlabelled, train, validation, queries, gallery, labels, categories, trained, and those of MADE."""
    counts: dict[str, int] = Sample.objects.filter(dataset=dataset).aggregate(
        samples=Count("pk"),
        unlabelled=Count("pk", filter=Q(label=None)),
        train=Count("pk", filter=Q(split=Split.TRAIN)),
        validation=Count("pk", filter=Q(split=Split.VALIDATION)),
        queries=Count("pk", filter=Q(is_query=True)),
        gallery=Count("pk", filter=Q(is_gallery=True)),
    )
    counts["labels"] = Label.objects.filter(dataset=dataset).count()
    counts["categories"] = Category.objects.filter(dataset=dataset).count()
    finished = Count("runs", filter=Q(runs__folder_key__gt=""))
    counts |= Dataset.objects.filter(pk=dataset.pk).aggregate(trained=finished)
    return counts | made_counts([dataset.pk])[dataset.pk]


def dataset_places(*, dataset: Dataset) -> dict[str, int | None]:
    """Where the steps lead, by relations as in MADE: ids, None where there is none.

    `report`: the newest. `measured`: the newest run with a report whose model is not published. `trained`: the newest
    run with a model.
    """
    has_model, has_report = Q(runs__folder_key__gt=""), Q(runs__evaluations__isnull=False)
    places: dict[str, int | None] = Dataset.objects.filter(pk=dataset.pk).aggregate(
        report=Max("runs__evaluations"),
        measured=Max("runs", filter=has_model & has_report & Q(runs__model_version=None)),
        trained=Max("runs", filter=has_model),
    )
    return places


def dataset_steps(*, counts: Mapping[str, int]) -> list[Step]:
    """The way from photos to search, by what `dataset_counts` found."""
    samples, labels, snapshots, unlabelled = (counts[name] for name in ("samples", "labels", "snapshots", "unlabelled"))
    trained, reported, published = (bool(counts[name]) for name in ("trained", "reports", "models"))
    photos = counted(samples, "sample") if samples else "a zip: a folder per label, or photos with a table"
    named = counted(labels, "label") if labels else "by the hundred, in the grid"
    if unlabelled:
        named += f"; {counted(unlabelled, 'sample')} {'has' if unlabelled == 1 else 'have'} none yet"
    frozen = f"{snapshots:,} taken" if snapshots else "a frozen copy, so that a report can be trusted"
    return [
        Step("import", "Import photos", photos, samples > 0),
        Step("label", "Label them", named, labels > 0 and not unlabelled),
        Step("snapshot", "Take a snapshot", frozen, snapshots > 0),
        Step("train", "Train a model", "" if trained else "a preset is enough", trained),
        Step("report", "Read the report", "" if reported else "how well it finds what it never saw", reported),
        Step("publish", "Publish the model", "" if published else "then it answers searches", published),
        Step("search", "Search", "drop a photo, see its like", False),
    ]


def counted(count: int, noun: str) -> str:
    """A count with its noun: "1 sample", "2,000 samples"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def dataset_photos(*, dataset: Dataset, count: int = 12) -> list[Sample]:
    """The first samples of the first labels, for a look at what the dataset is about."""
    labels = list(Label.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True)[:count])
    if not labels:
        return list(Sample.objects.filter(dataset=dataset).order_by("pk").select_related("label")[:count])
    firsts = Sample.objects.filter(label__in=labels).order_by("label", "pk").distinct("label")
    return list(firsts.select_related("label"))

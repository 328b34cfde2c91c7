"""Datasets as a person sees them: their role, counts, and what to do next."""

from dataclasses import dataclass, field

from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber

from apps.accounts.models import Membership, Role, User
from apps.core.errors import Forbidden
from apps.datasets.models import Category, Dataset, DatasetQuerySet, Label, Sample, Snapshot, Split

CARD_PHOTOS = 4


@dataclass(frozen=True)
class DatasetCard:
    """A dataset in the list: its figures and a few photos."""

    dataset: Dataset
    samples: int
    labels: int
    categories: int
    photos: list[Sample] = field(default_factory=list)


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
        raise Forbidden(
            f"This needs the role {role.label} in {dataset.name}.", remedy="Ask a manager of the dataset for it."
        )


def dataset_cards(*, user: User) -> list[DatasetCard]:
    """All datasets of a person, in five queries however many there are."""
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
    return [
        DatasetCard(
            dataset,
            samples.get(dataset.pk, 0),
            labels.get(dataset.pk, 0),
            categories.get(dataset.pk, 0),
            photos.get(dataset.pk, []),
        )
        for dataset in datasets
    ]


def dataset_counts(*, dataset: Dataset) -> dict[str, int]:
    """samples, unlabelled, train, validation, queries, gallery, labels, categories, snapshots."""
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
    counts["snapshots"] = Snapshot.objects.filter(dataset=dataset).count()
    return counts


def dataset_steps(*, dataset: Dataset, counts: dict[str, int]) -> list[Step]:
    """The way from photos to search. What later steps have made is known to them by what refers to this dataset."""
    samples, labels, snapshots, unlabelled = (counts[name] for name in ("samples", "labels", "snapshots", "unlabelled"))
    trained, reported, published = _made(dataset)
    photos = f"{samples:,} samples" if samples else "a zip: a folder per label, or photos with a table"
    named = f"{labels:,} labels" if labels else "by the hundred, in the grid"
    if unlabelled:
        named += f"; {unlabelled:,} samples have none yet"
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


def dataset_photos(*, dataset: Dataset, count: int = 12) -> list[Sample]:
    """The first samples of the first labels, for a look at what the dataset is about."""
    labels = list(Label.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True)[:count])
    if not labels:
        return list(Sample.objects.filter(dataset=dataset).order_by("pk").select_related("label")[:count])
    firsts = Sample.objects.filter(label__in=labels).order_by("label", "pk").distinct("label")
    return list(firsts.select_related("label"))


def _made(dataset: Dataset) -> tuple[bool, bool, bool]:
    """Whether it has a run, an evaluation, a model: by relations, for those apps lie above this one."""
    found = Dataset.objects.filter(pk=dataset.pk).aggregate(
        runs=Count("runs", distinct=True),
        evaluations=Count("snapshots__evaluations", distinct=True),
        models=Count("zoo_models", distinct=True),
    )
    return bool(found["runs"]), bool(found["evaluations"]), bool(found["models"])

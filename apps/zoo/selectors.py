"""Reads of the zoo: lists, the card of a version, the champion of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import IntegerField, Max, Prefetch, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from apps.accounts.models import Role, User
from apps.core.metrics import LABELS, QueryCounts, query_counts
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.selectors.datasets import role_in
from apps.jobs.models import Job
from apps.zoo.models import Alias, AliasMove, Model, ModelVersion

CHAMPION = "champion"
HEADLINE = ("cmc@1", "precision@5", "map@r")
HISTORY_SHOWN = 50
# By relations, for reports are of a higher layer. All reports of a run leave out the same: they have one snapshot.
LEFT_OUT = Max(Cast(KeyTextTransform("queries_without_match", "run__evaluations__counts"), IntegerField()))


def champion_of(dataset: Dataset) -> ModelVersion | None:
    """The published version that a dataset's search works with: the champion, of several the one named last."""
    return champions_of([dataset.pk]).get(dataset.pk)


def champions_of(dataset_ids: Iterable[int]) -> dict[int, ModelVersion]:
    """The champion of each dataset that has one, in one query."""
    versions = (
        ModelVersion.objects.filter(
            model__dataset__in=list(dataset_ids), aliases__name=CHAMPION, state=ModelVersion.State.PUBLISHED
        )
        .select_related("model__dataset", "snapshot")
        .annotate(named_at=Max("model__alias_moves__at", filter=Q(model__alias_moves__name=CHAMPION)))
        .order_by("named_at", "pk")
    )
    return {version.model.dataset_id: version for version in versions}


def model_name_for(dataset: Dataset) -> str:
    """What the next version is published under: the champion's model, else the newest, else the dataset's name."""
    champion = champion_of(dataset)
    newest = champion.model if champion else Model.objects.filter(dataset=dataset).order_by("-pk").first()
    return newest.name if newest else dataset.name


@dataclass(frozen=True)
class ModelCard:
    """A model as a list shows it."""

    model: Model
    versions: list[ModelVersion]  # newest first
    champion: ModelVersion | None

    @property
    def shown(self) -> ModelVersion | None:
        """The version whose figures stand for the model: the champion, else the newest."""
        return self.champion or (self.versions[0] if self.versions else None)

    @property
    def counts(self) -> QueryCounts | None:
        return counts_of(self.shown) if self.shown else None


def model_cards(*, user: User, dataset_id: int | None = None) -> list[ModelCard]:
    """The models that a person may see, by name, in a fixed number of queries."""
    models = Model.objects.for_user(user).select_related("dataset").order_by("name")
    if dataset_id is not None:
        models = models.filter(dataset_id=dataset_id)
    versions = ModelVersion.objects.annotate(left_out=LEFT_OUT).order_by("-number")
    versions = versions.select_related("snapshot").prefetch_related("aliases").defer("config", "notes")
    return [_card(model) for model in models.prefetch_related(Prefetch("versions", versions))]


def _card(model: Model) -> ModelCard:
    versions = list(model.versions.all())
    champion = next((v for v in versions if any(alias.name == CHAMPION for alias in v.aliases.all())), None)
    return ModelCard(model, versions, champion)


def counts_of(version: ModelVersion) -> QueryCounts:
    """How many queries a version's figures are over, as its run's report counted them.

    One query for a version that does not bring `left_out` along.
    """
    left_out = (
        version.left_out
        if hasattr(version, "left_out")
        else ModelVersion.objects.filter(pk=version.pk).aggregate(left_out=LEFT_OUT)["left_out"]
    )
    counts = {"queries": version.snapshot.counts.get("queries", 0)}
    return query_counts(counts if left_out is None else counts | {"queries_without_match": left_out})


def versions_of(model: Model) -> list[tuple[ModelVersion, QueryCounts]]:
    """A model's versions, newest first, with what its page shows."""
    versions = (
        model.versions.annotate(left_out=LEFT_OUT)
        .select_related("snapshot", "created_by", "run")
        .prefetch_related("aliases", "indexes")
        .order_by("-number")
    )
    return [(version, counts_of(version)) for version in versions]


def aliases_of(model: Model) -> QuerySet[Alias]:
    return model.aliases.select_related("version").order_by("name")


def alias_moves_of(model: Model) -> QuerySet[AliasMove]:
    """The moves of a model's aliases, newest first."""
    moves = model.alias_moves.select_related("old_version", "new_version", "moved_by").order_by("-pk")
    return moves[:HISTORY_SHOWN]


def can_manage(*, user: User, dataset: Dataset) -> bool:
    return role_in(user=user, dataset=dataset) >= Role.MANAGER


def run_of(version: ModelVersion) -> Any | None:
    """The run that made a version; None for one that came in by other ways. (Runs are of a higher layer.)"""
    try:
        return version.run
    except ObjectDoesNotExist:
        return None


def index_job_of(version: ModelVersion) -> Job | None:
    """The newest job that indexes a version, whatever its state."""
    return Job.objects.filter(kind="index", payload__version=version.pk).order_by("-pk").first()


def newest_snapshot(dataset: Dataset) -> Snapshot | None:
    return dataset.snapshots.order_by("-number").first()


def metric_rows(metrics: Mapping[str, float], untrained: Mapping[str, float]) -> list[dict[str, Any]]:
    """`{"name", "value", "untrained"}` in the order in which the site explains metrics, strangers last."""
    order = list(LABELS)

    def place(name: str) -> tuple[int, int]:
        kind, _, k = name.partition("@")
        return (
            order.index(kind) if kind in order else len(order),
            int(k) if k.isdecimal() else len(k) * 1000,
        )  # mAP@R after mAP@10

    return [
        {"name": name, "value": metrics[name], "untrained": untrained.get(name)} for name in sorted(metrics, key=place)
    ]


def config_rows(config: Mapping[str, Any], path: Iterable[str] = ()) -> list[tuple[str, Any]]:
    """A configuration as flat pairs: ("preprocess.size", 96)."""
    rows: list[tuple[str, Any]] = []
    for name, value in config.items():
        here = (*path, name)
        if isinstance(value, Mapping):
            rows.extend(config_rows(value, here))
        else:
            rows.append((".".join(here), value))
    return rows

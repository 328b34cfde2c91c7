"""Reads of reports."""

from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet

from apps.accounts.models import User
from apps.datasets.models import Sample
from apps.reports.models import Evaluation, EvaluationQuerySet, QueryResult

WORST = 10
HEADLINES = ("cmc@1", "precision@5", "map@r")
CATEGORY_COLUMNS = ("name", "queries", "cmc@1", "precision@5", "map@r")
FEW_QUERIES, FEW_LABELS = 100, 20  # below these, a few photos more or less move the figures
ROUNDING = 1e-9  # of a mean in float64; draws that differ at all are further apart
NO_LABEL = "no label"
NOT_KEPT = "label not kept"  # by a report from before labels were, whose manifest is gone


@dataclass(frozen=True)
class Interval:
    """The confidence interval of a figure: shares, 0..1."""

    low: float
    high: float

    @property
    def is_point(self) -> bool:
        """It has no width but that of rounding, for the queries were all alike."""
        return self.high - self.low < ROUNDING


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold for a wanted false match rate. Rates are shares, 0..1."""

    wanted_fmr: float
    distance: float | None  # cosine distance: pairs below it are taken for one label; None: all pairs are
    false_match_rate: float
    fnmr: float
    interval: Interval | None  # of fnmr
    few: bool  # the wanted rate allows less than one of the impostor pairs

    @property
    def name(self) -> str:
        """Of FNMR as a figure."""
        return f"fnmr@{self.wanted_fmr}"

    @property
    def score(self) -> float | None:
        """The same threshold as a cosine, which the site shows as the score of a neighbour."""
        return None if self.distance is None else 1 - self.distance


@dataclass(frozen=True)
class Shown:
    """A sample of a report, by the label that the snapshot has."""

    sample: Sample | None  # as it is now; None: deleted since
    label: str
    now: str  # its label now; "" where it still has the same one, or is gone


@dataclass(frozen=True)
class Neighbour(Shown):
    """One of a query's neighbours."""

    distance: float  # cosine distance, 0..2
    hit: bool

    @property
    def score(self) -> float:
        """The cosine, 1 is the same."""
        return 1 - self.distance


@dataclass(frozen=True)
class WorstQuery(Shown):
    result: QueryResult
    neighbours: list[Neighbour]


def report_list(*, user: User, dataset_id: int | None = None) -> EvaluationQuerySet:
    """The reports a person may see, newest first; of one dataset if given."""
    reports = Evaluation.objects.for_user(user).exclude(overall={}, counts={})
    reports = reports.select_related("run__dataset", "run__model_version__model", "snapshot").order_by("-id")
    return reports if dataset_id is None else reports.filter(run__dataset_id=dataset_id)


def intervals(evaluation: Evaluation) -> dict[str, Interval]:
    """The intervals that a report has, by figure; none of a report from before there were any."""
    figures = evaluation.extras.get("intervals", {}).get("figures", {})
    return {name: Interval(*bounds) for name, bounds in figures.items()}


def interval_definition(evaluation: Evaluation, measured: int) -> str:
    """What the intervals of a report say, for people; empty where it has none. measured: over how many queries."""
    how = evaluation.extras.get("intervals")
    if not how:
        return ""
    return (
        f"{how['resamples']:,} times, {measured:,} queries were drawn anew from these {measured:,}, some twice and "
        f"some not at all. In {100 * how['confidence']:.0f} % of the draws the figure lay between the two (percentile "
        "bootstrap, Efron 1979). Other queries of the same labels would move it about as much; other labels may move "
        "it more."
    )


def operating_points(evaluation: Evaluation) -> list[OperatingPoint]:
    """The thresholds of a report, the largest wanted rate first; none where verification has none or was left out."""
    verification, known = evaluation.extras.get("verification", {}), intervals(evaluation)
    return [
        OperatingPoint(
            wanted_fmr=point["wanted_fmr"],
            distance=point["threshold"],
            false_match_rate=point["false_match_rate"],
            fnmr=point["fnmr"],
            interval=known.get(f"fnmr@{point['wanted_fmr']}"),
            few=point["wanted_fmr"] * verification["impostor"] < 1,
        )
        for point in sorted(verification.get("points", []), key=lambda point: -point["wanted_fmr"])
    ]


def worst_queries(*, evaluation: Evaluation, count: int = WORST) -> list[WorstQuery]:
    """The queries with the lowest average precision, then the latest first hit. Two queries for any count."""
    results = list(worst_results(evaluation)[:count])
    ids = {entry["sample"] for result in results for entry in result.neighbours}
    samples = Sample.objects.select_related("label").in_bulk(ids)
    return [
        WorstQuery(
            **_shown(result.sample, result.label),
            result=result,
            neighbours=[
                Neighbour(
                    **_shown(samples.get(entry["sample"]), entry["label"]),
                    distance=entry["distance"],
                    hit=entry["hit"],
                )
                for entry in result.neighbours
            ],
        )
        for result in results
    ]


def _shown(sample: Sample | None, label: str) -> dict[str, Any]:
    now = "" if sample is None else sample.label.name if sample.label else NO_LABEL
    return {"sample": sample, "label": label or NOT_KEPT, "now": "" if now == label else now}


def labels_measured(evaluation: Evaluation) -> int | None:
    """How many labels the measured queries have, as the snapshot names them; None where the names were not kept."""
    measured = evaluation.queries.filter(average_precision__isnull=False)
    names = set(measured.order_by().values_list("label", flat=True).distinct())
    return None if "" in names else len(names)


def worst_results(evaluation: Evaluation) -> QuerySet[QueryResult]:
    return (
        evaluation.queries.filter(average_precision__isnull=False)
        .select_related("sample__label")
        .order_by("average_precision", F("first_hit_rank").desc(nulls_first=True), "id")
    )


def deleted_count(evaluation: Evaluation) -> int:
    """How many queries' samples have been deleted since the snapshot."""
    return evaluation.queries.filter(sample=None).count()


def category_columns(evaluation: Evaluation) -> list[str]:
    """What a table of the categories shows; FNMR where they have it, which reports of before did not keep."""
    measured = {name for row in evaluation.categories for name in row["metrics"]}
    return [*CATEGORY_COLUMNS, *(point.name for point in operating_points(evaluation) if point.name in measured)]


def categories_sorted(evaluation: Evaluation, sort: str) -> list[dict[str, Any]]:
    """The categories by `sort`, one of `category_columns`, `-` in front for falling; those without a figure last."""
    falling, name = sort.startswith("-"), sort.removeprefix("-")
    if name not in category_columns(evaluation):
        falling, name = False, "name"
    rows = sorted(evaluation.categories, key=lambda row: str(row["name"]).casefold())
    if name == "name":
        return rows[::-1] if falling else rows

    def value(row: dict[str, Any]) -> float | None:
        found = row["queries"] if name == "queries" else row["metrics"].get(name)
        return None if found is None else float(found)

    with_value = [row for row in rows if value(row) is not None]
    with_value.sort(key=lambda row: value(row) or 0.0, reverse=falling)
    return with_value + [row for row in rows if value(row) is None]

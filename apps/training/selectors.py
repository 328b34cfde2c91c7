"""Reads of runs: lists, the curves, and what the pages say of a recipe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.accounts.models import User
from apps.core import metrics
from apps.jobs.models import Job
from apps.training.models import Point, Run, RunQuerySet
from mlcore.config import PRESETS, BalancedSampler, Recipe, ShuffleSampler
from mlcore.table import TrainFacts, recipe_fit

POINTS_PER_SERIES = 2000  # more than a screen has columns
SHOWN_PRESETS = {
    "quick": "A first look: whether the labels can be told apart at all.",
    "standard": "The usual choice: good figures for a few thousand samples.",
    "best": "A larger network on larger photos, for the model that stays.",
}
METRICS = ("cmc@1", "precision@5", "map@r")  # those that lists and curves show, of all that a report has
HEADLINE = "cmc@1"
CHARTS: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss",),
    "validation": METRICS,
    "speed": ("images_per_second",),
}
UNITS = dict.fromkeys(METRICS, "%")

# Training on two CPU cores, ResNet-18 from scratch at 96 pixels; other networks by their share of the work.
IMAGES_PER_SECOND = 80.0
ARCH_COST = {"resnet18": 1.0, "resnet34": 1.9, "resnet50": 2.6, "vit_tiny": 0.9, "vit_b_16": 9.0, "vit_b_32": 3.0}
ARCH_COST["vit_l_16"] = 30.0
UNKNOWN_COST = 3.0  # of a network that is none of these: a guess in the middle


@dataclass(frozen=True)
class PresetCard:
    """One choice on the page of a new run."""

    name: str
    text: str
    recipe: Recipe
    images: int
    seconds: int


def run_list(*, user: User, dataset_id: int | None = None) -> RunQuerySet:
    """The runs a person may see, newest first, with what a list shows; of one dataset if given."""
    runs = Run.objects.for_user(user).select_related("job", "dataset", "snapshot", "model_version__model")
    runs = runs.prefetch_related("evaluations").order_by("-id")
    return runs if dataset_id is None else runs.filter(dataset_id=dataset_id)


def evaluation_job(run: Run) -> Job | None:
    """The job that makes the run's report, once its training has ended."""
    return Job.objects.filter(kind="evaluate", payload__run=run.pk).order_by("-id").first()


def recipe_images(recipe: Recipe) -> int:
    """How many photos a training by this recipe takes in, augmented copies counted."""
    match recipe.sampler:
        case BalancedSampler():
            return recipe.steps * recipe.sampler.labels * recipe.sampler.instances
        case ShuffleSampler():
            return recipe.steps * recipe.sampler.batch_size


def recipe_seconds(recipe: Recipe) -> int:
    """A rough guess of the seconds on two CPU cores, rounded as such; an accelerator takes a small part of that."""
    pixels = (recipe.preprocess.size / 96) ** 2
    cost = ARCH_COST.get(recipe.extractor.arch, UNKNOWN_COST)
    seconds = recipe_images(recipe) * pixels * cost / IMAGES_PER_SECOND
    step = 10 if seconds < 120 else 60 if seconds < 3600 else 600
    return max(1, round(seconds / step)) * step


def preset_cards(facts: TrainFacts) -> list[PresetCard]:
    """The presets, each with batches that these train rows can fill."""
    fitted = {name: recipe_fit(PRESETS[name], facts)[0] for name in SHOWN_PRESETS}
    return [
        PresetCard(name, SHOWN_PRESETS[name], recipe, recipe_images(recipe), recipe_seconds(recipe))
        for name, recipe in fitted.items()
    ]


def chart_series(*, run: Run, chart: str) -> list[dict[str, Any]]:
    """The curves of one chart of `CHARTS`: name, label, unit and points `[step, value]` in order of steps.

    Shares are 0..1 with the unit "%".
    """
    points: dict[str, list[list[float]]] = {name: [] for name in CHARTS[chart]}
    rows = Point.objects.filter(run=run, name__in=CHARTS[chart]).order_by("step")
    for name, step, value in rows.values_list("name", "step", "value"):
        points[name].append([step, value])
    return [
        {"name": name, "label": metrics.label(name), "unit": UNITS.get(name, ""), "points": thinned(rows)}
        for name, rows in points.items()
    ]


def thinned(points: list[list[float]]) -> list[list[float]]:
    """At most `POINTS_PER_SERIES` of them, evenly, the last one always among them."""
    if len(points) <= POINTS_PER_SERIES:
        return points
    stride = -(-len(points) // POINTS_PER_SERIES)
    return points[::-1][::stride][::-1]


def figure_rows(
    trained: Mapping[str, float], untrained: Mapping[str, float], names: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """`{"name", "trained", "untrained", "delta", "points"}` per metric; without `names`, of all that were measured.

    Figures are shares, 0..1; `points` is the difference in percentage points as text, such as "+12.5".
    """
    rows = []
    for name in names if names is not None else sorted(trained, key=metric_place):
        value, before = trained.get(name), untrained.get(name)
        delta = None if value is None or before is None else value - before
        points = "" if delta is None else f"{100 * delta:+.1f}"
        rows.append({"name": name, "trained": value, "untrained": before, "delta": delta, "points": points})
    return rows


def metric_place(name: str) -> tuple[int, int]:
    """Sorts metrics as the site explains them, small k first. (A JSON column does not keep an order.)"""
    kinds = list(metrics.LABELS)
    kind, _, k = name.partition("@")
    return kinds.index(kind) if kind in kinds else len(kinds), int(k) if k.isdecimal() else 1000

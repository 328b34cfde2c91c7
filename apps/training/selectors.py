"""Reads of runs: lists, the curves, and what the pages say of a recipe."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.accounts.models import User
from apps.core import metrics
from apps.datasets.models import Dataset, Label
from apps.jobs.hosts import host_name
from apps.jobs.models import Job, Slot
from apps.search.selectors import active_index
from apps.training.models import Point, Run, RunQuerySet
from apps.zoo.selectors import champion_of, index_job_of
from mlcore.config import PRESETS, BalancedSampler, Recipe, ShuffleSampler
from mlcore.table import Problem, TrainFacts, recipe_fit

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
DECIMALS = {"images_per_second": 0}  # where they are not for the chart to choose

# Training on two CPU cores, ResNet-18 from scratch at 96 pixels; other networks by their share of the work.
IMAGES_PER_SECOND = 80.0
MEASURED_CORES = 2
MOST_CORES = 16  # more of them were never measured, and hardly help
ARCH_COST = {"resnet18": 1.0, "resnet34": 1.9, "resnet50": 2.6, "vit_tiny": 0.9, "vit_b_16": 9.0, "vit_b_32": 3.0}
ARCH_COST["vit_l_16"] = 30.0
UNKNOWN_COST = 3.0  # of a network that is none of these: a guess in the middle


@dataclass(frozen=True)
class PresetCard:
    """One choice on the page of a new run."""

    name: str
    text: str
    recipe: Recipe
    passes: str
    seconds: int


@dataclass(frozen=True)
class Place:
    """Where a training would run, for the guess of its time."""

    cores: int
    words: str


@dataclass(frozen=True)
class Published:
    """What became of a run's model: its search index in the making, or whether searches use it."""

    index_job: Job | None  # while it works, or where it failed
    searches: bool  # it is its dataset's champion, and its index serves


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


def recipe_passes(recipe: Recipe, train_samples: int) -> str:
    """How often a training takes each training sample, in words: "each sample about 13 times"."""
    passes = recipe_images(recipe) / max(train_samples, 1)
    if passes < 0.95:
        return f"about {max(1, round(100 * passes))} % of the samples once"
    times = f"{passes:.1f}" if 1.05 <= passes < 3 and round(passes, 1) % 1 else f"{round(passes):,}"
    return f"each sample about {'once' if times == '1' else f'{times} times'}"


def training_place() -> Place:
    """The trainer's place as far as it is known here: this machine's cores when it has the only place for trainings."""
    slots = list(Slot.objects.filter(pool="device").values_list("host", "name"))
    if any(name.startswith("cuda") for _, name in slots):
        return Place(MEASURED_CORES, f"on {MEASURED_CORES} CPU cores; the accelerator here takes a small part of it")
    if slots and {host for host, _ in slots} == {host_name()}:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Place(
            min(cores, MOST_CORES), f"on {cores} CPU core{'' if cores == 1 else 's'}, as many as there are here"
        )
    return Place(MEASURED_CORES, f"on {MEASURED_CORES} CPU cores; more of them, or an accelerator, take less")


def recipe_seconds(recipe: Recipe, cores: int = MEASURED_CORES) -> int:
    """A rough guess of the seconds on so many CPU cores, rounded as such; an accelerator takes a small part of that."""
    pixels = (recipe.preprocess.size / 96) ** 2
    cost = ARCH_COST.get(recipe.extractor.arch, UNKNOWN_COST)
    seconds = recipe_images(recipe) * pixels * cost / IMAGES_PER_SECOND * MEASURED_CORES / cores
    step = 10 if seconds < 120 else 60 if seconds < 3600 else 600
    return max(1, round(seconds / step)) * step


def preset_cards(facts: TrainFacts, train_samples: int, cores: int = MEASURED_CORES) -> list[PresetCard]:
    """The presets, each with batches that these train rows can fill."""
    fitted = {name: recipe_fit(PRESETS[name], facts)[0] for name in SHOWN_PRESETS}
    return [
        PresetCard(
            name, SHOWN_PRESETS[name], recipe, recipe_passes(recipe, train_samples), recipe_seconds(recipe, cores)
        )
        for name, recipe in fitted.items()
    ]


def problem_rows(*, dataset: Dataset, problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """The problems as dictionaries, each with `links`: (name, id) of the labels that it names. One query, or none."""
    rows = [problem.as_dict() for problem in problems]
    names = {name for row in rows for name in row.get("labels", ())}
    ids: dict[str, int] = {}
    if names:
        ids = dict(Label.objects.filter(dataset=dataset, name__in=names).values_list("name", "pk"))
    for row in rows:
        row["links"] = [(name, ids[name]) for name in row.get("labels", ()) if name in ids]
    return rows


def published(run: Run) -> Published | None:
    """None for a run whose model is not published."""
    version = run.model_version
    if version is None:
        return None
    champion = champion_of(run.dataset)
    serves = champion is not None and champion.pk == version.pk and active_index(version) is not None
    job = index_job_of(version)
    return Published(job if job is not None and job.state != Job.State.SUCCEEDED else None, serves)


def chart_series(*, run: Run, chart: str) -> list[dict[str, Any]]:
    """The curves of one chart of `CHARTS`: name, label, unit and points `[step, value]` in order of steps.

    Shares are 0..1 with the unit "%"; `decimals` is there where the chart should not choose them.
    """
    points: dict[str, list[list[float]]] = {name: [] for name in CHARTS[chart]}
    rows = Point.objects.filter(run=run, name__in=CHARTS[chart]).order_by("step")
    for name, step, value in rows.values_list("name", "step", "value"):
        points[name].append([step, value])
    return [
        {
            "name": name,
            "label": metrics.label(name),
            "unit": UNITS.get(name, ""),
            "points": thinned(rows),
            **({"decimals": DECIMALS[name]} if name in DECIMALS else {}),
        }
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

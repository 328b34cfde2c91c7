"""Starting a run, publishing what it made, and deleting a dataset's."""

import re
from functools import partial

import pandas as pd
from django.db import transaction

from apps.accounts.models import Role, User
from apps.core.errors import BadInput
from apps.core.files import folder_delete
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.selectors.datasets import role_require
from apps.datasets.selectors.snapshots import manifest_read
from apps.jobs.services import job_submit
from apps.search.services import index_submit
from apps.training.models import Checkpoint, Point, Run
from apps.zoo.models import Model, ModelVersion
from apps.zoo.selectors import champion_of, model_name_for
from apps.zoo.services import CHAMPION, alias_set, version_create, version_publish
from mlcore.config import PRESETS, BalancedSampler, Recipe
from mlcore.table import Problem, recipe_fit, train_facts
from mlcore.table import preflight as table_preflight

CUSTOM = "custom"
MAX_BATCH = 4096  # samples
MAX_WORKERS = 64
MAX_SEED = 2**31 - 1
MAX_STEPS = 10_000_000
# What mlcore.evaluate measures; it needs torch to say so itself, and a test holds the two together.
METRIC_NAMES = (
    *(f"{kind}@{k}" for kind in ("cmc", "precision", "recall", "map", "map_hits") for k in (1, 5, 10)),
    "map@r",
    "r_precision",
    "mrr",
)


def preflight(manifest: pd.DataFrame, recipe: Recipe) -> list[Problem]:
    """Everything that stands between a snapshot and a training, found before any work. Errors stop it."""
    return [*table_preflight(manifest, recipe), *recipe_problems(recipe)]


def recipe_problems(recipe: Recipe) -> list[Problem]:
    """What a valid recipe may not ask of this site."""
    problems = []
    if recipe.extractor.weights_path is not None:
        text = "The recipe starts from a file of the server, which a recipe made here may not read."
        problems.append(Problem(0, "extractor.weights_path", text, "Set it to null: training starts from scratch."))
    sampler = recipe.sampler
    batch = sampler.labels * sampler.instances if isinstance(sampler, BalancedSampler) else sampler.batch_size
    if batch > MAX_BATCH:
        text = f"A batch of {batch:,} samples does not fit into memory."
        problems.append(Problem(0, "sampler", text, f"Make it {MAX_BATCH:,} or fewer; 64 to 256 is usual."))
    if recipe.steps > MAX_STEPS:
        text = f"{recipe.steps:,} steps would not end in years."
        problems.append(Problem(0, "steps", text, f"Make it {MAX_STEPS:,} or fewer."))
    if not 0 <= recipe.seed <= MAX_SEED:
        text = f"The seed {recipe.seed} is out of range."
        problems.append(Problem(0, "seed", text, f"Choose one from 0 to {MAX_SEED:,}."))
    if recipe.best_metric.removeprefix("overall/") not in METRIC_NAMES:
        text = f"The best checkpoint cannot be chosen by {recipe.best_metric!r}, which is not measured."
        problems.append(Problem(0, "best_metric", text, f"Choose one of: {', '.join(METRIC_NAMES)}."))
    if recipe.workers > MAX_WORKERS:
        text = f"{recipe.workers} processes that read images are more than a machine can use."
        problems.append(Problem(0, "workers", text, "Set it to 0: as many as there are cores."))
    return problems


@transaction.atomic
def run_create(*, snapshot: Snapshot, preset: str, recipe: Recipe | None, name: str, user: User) -> Run:
    """Queues a training on a snapshot: of `recipe` as it is, or of the preset with batches that the snapshot can fill.

    Raises Forbidden below the role of a manager; BadInput with every fault of the preflight in `extra["problems"]`.
    """
    role_require(user=user, dataset=snapshot.dataset, role=Role.MANAGER)
    if recipe is None and preset not in PRESETS:
        raise BadInput(f"There is no preset {preset!r}.", remedy=f"Choose one of: {', '.join(PRESETS)}.")
    manifest = manifest_read(snapshot)
    # The preset, and what becomes of it on this snapshot, are both "the preset" to people.
    same = [PRESETS[preset], recipe_fit(PRESETS[preset], train_facts(manifest))[0]] if preset in PRESETS else []
    chosen = recipe or same[-1]
    problems = preflight(manifest, chosen)
    if any(problem.severity == "error" for problem in problems):
        raise BadInput(
            "This training cannot start as it stands; no time was spent on it.",
            remedy="Mend what is listed, or change the recipe.",
            extra={"problems": [problem.as_dict() for problem in problems]},
        )
    title = name.strip()[:120] or f"{snapshot.dataset.name}, {preset}"[:120]
    job = job_submit(kind="train", title=f"Train {title}", payload={}, owner=user, dataset=snapshot.dataset)
    run = Run.objects.create(
        name=title,
        dataset=snapshot.dataset,
        snapshot=snapshot,
        preset=preset if chosen in same else CUSTOM,
        recipe=chosen.model_dump(mode="json"),
        warnings=[f"{problem.message} {problem.remedy}" for problem in problems],
        job=job,
        created_by=user,
    )
    job.payload = {"run": run.pk}
    job.save(update_fields=["payload"])
    return run


@transaction.atomic
def run_publish(*, run: Run, user: User, model_name: str | None = None) -> ModelVersion:
    """Puts a finished run's model into the zoo as a published version, submits its index; then it is the champion.

    The model is the dataset's own unless its name is given, see `model_name_for`; an existing one gets a new version.
    Raises Forbidden below the role of a manager; BadInput for a run that is unfinished or already published, or for
    a name that another dataset's model has.
    """
    run = Run.objects.select_for_update(of=("self",)).select_related("dataset", "snapshot", "job").get(pk=run.pk)
    role_require(user=user, dataset=run.dataset, role=Role.MANAGER)
    if run.model_version is not None:
        raise BadInput(f"{run} is published already, as {run.model_version}.")
    if not run.folder_key or not run.job.is_final:
        raise BadInput(
            f"{run} has no finished model: its training is {run.job.state}.",
            remedy="Publish it once the training has succeeded.",
        )
    name = (model_name or "").strip()[:120] or model_name_for(run.dataset)
    if re.search(r"@|:\d+$", name):
        raise BadInput(
            f"{name!r} reads like a version or an alias of a model.", remedy="Choose a name without @ and :number."
        )
    model, _ = Model.objects.get_or_create(name=name, defaults={"dataset": run.dataset})
    if model.dataset_id != run.dataset_id:
        raise BadInput(f"The name {name!r} belongs to a model of another dataset.", remedy="Choose another name.")
    version = version_create(model=model, snapshot=run.snapshot, folder=run.folder_key, metrics=run.metrics, user=user)
    version_publish(version=version, user=user)
    run.model_version = version
    run.save(update_fields=["model_version"])
    is_first = champion_of(run.dataset) is None
    if is_first:
        alias_set(model=model, name=CHAMPION, version=version, user=user)
    # A champion that serves is followed only once the new one can: its index moves the alias.
    index_submit(version=version, user=user, then_champion=not is_first)
    return version


@transaction.atomic
def runs_delete(*, dataset: Dataset) -> None:
    """Deletes a dataset's runs with their curves, checkpoints and files. Their reports go first; none is at work."""
    runs = list(Run.objects.filter(dataset=dataset).values_list("pk", flat=True))
    for pk in runs:
        transaction.on_commit(partial(folder_delete, f"runs/{pk}"), robust=True)
    Point.objects.filter(run__in=runs).delete()
    Checkpoint.objects.filter(run__in=runs).delete()
    Run.objects.filter(pk__in=runs).delete()

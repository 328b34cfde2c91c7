"""Validation: which sets there are, what is measured on each, and which figure decides what is best."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from mlcore.cache import Say
from mlcore.config import Plateau, Recipe
from mlcore.data import Source
from mlcore.distributed import World, gather
from mlcore.embed import embed_manifest
from mlcore.engine.state import Progress
from mlcore.errors import InputError
from mlcore.evaluate import Report, evaluate
from mlcore.events import Message, OnEvent, ShouldStop
from mlcore.model import Embedder
from mlcore.samplers import shard
from mlcore.table import Problem, Severity, check_set, preflight


@dataclass(frozen=True)
class ValidationSet:
    """Photos to validate on: the validation rows of `manifest` (see `mlcore.manifest`), whose keys `source` reads."""

    manifest: pd.DataFrame
    source: Source

    def held_out(self) -> "ValidationSet":
        """The validation rows alone."""
        rows = self.manifest[self.manifest["split"] == "validation"].reset_index(drop=True)
        return ValidationSet(rows, self.source)


@dataclass(frozen=True)
class Reports:
    """What one validation measured: on the recipe's own validation rows, and on each further set by its name."""

    main: Report
    sets: dict[str, Report]

    def figures(self) -> dict[str, dict[str, float]]:
        """The overall figures of the further sets."""
        return {name: report.overall for name, report in self.sets.items()}

    def figure(self, name: str) -> float:
        """A figure by name: `cmc@1`, `overall/cmc@1`, `categories/NAME/cmc@1`, or one of these after `sets/NAME/`.

        Raises InputError for no such figure.
        """
        report, rest = self.main, name
        if name.startswith("sets/"):
            _, chosen, rest = name.split("/", 2)
            report = self.sets[chosen]  # there, by `set_faults`
        kind, _, metric = rest.rpartition("/")
        known = report.overall
        if kind.startswith("categories/"):
            found = [each.metrics for each in report.categories if each.name == kind.removeprefix("categories/")]
            known = found[0] if found else {}
        if (kind not in ("", "overall") and not kind.startswith("categories/")) or metric not in known:
            choice = ", ".join(sorted(known)) or "none: there is no such category"
            raise InputError(f"The recipe asks for the best {name}, which is not measured. Choose one of: {choice}.")
        return known[metric]


def set_faults(best_metric: str, names: Collection[str]) -> list[str]:
    """What is wrong with the names of the further sets, and with a recipe that asks for the best on another one."""
    faults = [
        f"A validation set is named {name!r}. Give it a name without / and without spaces around it."
        for name in names
        if not name or "/" in name or name != name.strip()
    ]
    head, *rest = best_metric.split("/", 2)
    if head == "sets" and (len(rest) < 2 or rest[0] not in names):
        there = f"The validation sets are: {', '.join(names)}" if names else "There are no further validation sets"
        faults.append(f"The recipe asks for the best {best_metric}. {there}; write best_metric as sets/NAME/cmc@1.")
    return faults


def training_faults(problems: list[Problem], recipe: Recipe, also: Mapping[str, ValidationSet]) -> list[str]:
    """Everything for which a training cannot start, on its own rows and on the further sets."""
    return [*texts(problems, "error"), *set_faults(recipe.best_metric, also)]


def training_problems(
    recipe: Recipe, manifest: pd.DataFrame, also: Mapping[str, ValidationSet], shared_labels: Severity
) -> list[Problem]:
    """What the split guard finds; its warnings are what people should know of a training that can start."""
    train = manifest[manifest["split"] == "train"]
    problems = preflight(manifest, recipe, shared_labels=shared_labels)
    for name, each in also.items():
        problems += check_set(name, each.manifest, train, shared_labels=shared_labels)
    return problems


def texts(problems: list[Problem], severity: Severity) -> list[str]:
    return [f"{problem.message} {problem.remedy}" for problem in problems if problem.severity == severity]


def evaluated(
    embedder: Embedder,
    rows: ValidationSet,
    *,
    world: World,
    workers: int,
    cache_dir: Path,
    should_stop: ShouldStop,
    on_message: Say,
) -> Report:
    """The report of a set, each row of which one process embeds. Raises Stopped when `should_stop` says so."""
    places = shard(list(range(len(rows.manifest))), world.rank, world.size)
    embeddings = embed_manifest(
        embedder,
        rows.manifest.iloc[places].reset_index(drop=True),
        rows.source,
        workers=workers,
        cache_dir=cache_dir,
        should_stop=should_stop if world.size == 1 else lambda: False,  # together, or not at all
        on_message=on_message,
    )
    part = torch.from_numpy(embeddings).to(embedder.device)  # (N of this process, D)
    whole = gather(part, len(rows.manifest), world).cpu().numpy()
    return evaluate(whole, rows.manifest, device=embedder.device)


def entered(reports: Reports, progress: Progress, best_metric: str) -> bool:
    """Enters a validation in the progress of its training; whether it is the best after a first step."""
    value = reports.figure(best_metric)
    if progress.step == 0:
        progress.untrained_metrics, progress.untrained_sets = reports.main.overall, reports.figures()
        return False
    if progress.best_step and not value > progress.best_value:
        return False
    progress.best_step, progress.best_value = progress.step, value
    progress.best_metrics, progress.best_sets = reports.main.overall, reports.figures()
    return True


def judge(progress: Progress, recipe: Recipe, on_event: OnEvent, *, is_best: bool) -> None:
    """Counts validations without a better figure: they lower the rate of a plateau, and end the training early."""
    schedule = recipe.optimizer.schedule
    progress.not_better = 0 if is_best else progress.not_better + 1
    progress.since_drop = 0 if is_best else progress.since_drop + 1
    if isinstance(schedule, Plateau) and progress.since_drop >= schedule.patience:
        progress.drops, progress.since_drop = progress.drops + 1, 0
    if recipe.patience and progress.not_better >= recipe.patience and progress.step < recipe.steps:
        progress.ended_early = True
        on_event(Message(f"Stopped early at step {progress.step}: best was step {progress.best_step}."))

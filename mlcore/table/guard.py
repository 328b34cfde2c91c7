"""The split guard: what stands between a manifest and a training, found before any work. No torch."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mlcore.config import BalancedSampler, Handcrafted, Recipe
from mlcore.matches import manifest_rows, photo_groups
from mlcore.table.categories import check_categories
from mlcore.table.check import matchless_queries
from mlcore.table.problem import Problem, Severity

SHOWN = 5  # names in a message
FEW_LABELS = 8  # under this many, what tells the labels apart is hardly what would tell others apart


def preflight(manifest: pd.DataFrame, recipe: Recipe, *, shared_labels: Severity = "error") -> list[Problem]:
    """Faults of a training by `recipe` on `manifest` (see `mlcore.manifest`). Those that are errors stop it."""
    train = manifest[manifest["split"] == "train"]
    validation = manifest[manifest["split"] == "validation"]
    return [
        *check_extractor(recipe),
        *check_training_labels(train, recipe),
        *check_categories(train, recipe),
        *check_validation(manifest),
        *check_leaks(train, validation, shared_labels),
    ]


def check_set(
    name: str, manifest: pd.DataFrame, train: pd.DataFrame, *, shared_labels: Severity = "error"
) -> list[Problem]:
    """Faults of a further validation set, the validation rows of `manifest`, beside the rows that train."""
    held_out = manifest[manifest["split"] == "validation"]
    problems = [*check_validation(manifest), *check_leaks(train, held_out, shared_labels)]
    return [replace(problem, message=f"Validation set {name}: {problem.message}") for problem in problems]


def check_extractor(recipe: Recipe) -> list[Problem]:
    if not isinstance(recipe.extractor, Handcrafted):
        return []
    text = "The handcrafted extractor has no weights: nothing of it learns."
    return [
        Problem(
            0, "extractor", text, "Embed with it as it is (colour_gradient), or choose a network, such as resnet18."
        )
    ]


@dataclass(frozen=True)
class LabelProblem(Problem):
    """A fault of some labels; `labels` are those that its message names."""

    labels: tuple[str, ...] = ()


def first(names: Collection[object]) -> tuple[str, ...]:
    """As many as a message names."""
    return tuple(str(name) for name, _ in zip(names, range(SHOWN), strict=False))


def named(names: Collection[object]) -> str:
    """`a, b, c and 4 more`."""
    shown = first(names)
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def listed(names: Collection[object]) -> str:
    """`7 (a, b, c and 4 more)`, and `0`."""
    return f"{len(names)} ({named(names)})" if len(names) else "0"


def different_samples(rows: pd.DataFrame) -> pd.Series:
    """How many different samples each label of these rows has, most first. Copies of a photo and box count once."""
    counts: pd.Series = rows.assign(photo=photo_groups(rows)).groupby("label")["photo"].nunique()
    return counts.sort_values(ascending=False, kind="stable")


def check_training_labels(train: pd.DataFrame, recipe: Recipe) -> list[Problem]:
    counts = different_samples(train)
    several, single = counts[counts >= 2], counts[counts == 1]
    problems: list[Problem] = []
    if len(several) < 2:
        who = f"Only 1 training label ({named(several.index)})" if len(several) else "No training label"
        text = f"{who} has two different samples or more; a training needs at least 2 such labels."
        remedy = "Label more photos, or move labels from validation to train."
        problems.append(LabelProblem(0, "label", text, remedy, labels=first(several.index)))
    elif isinstance(recipe.sampler, BalancedSampler) and len(counts) < recipe.sampler.labels:
        text = f"The recipe puts {recipe.sampler.labels} labels into a batch; the train split has {len(counts)}."
        problems.append(Problem(0, "label", text, f"Set labels in a batch to {len(counts)} or fewer, or add labels."))
    elif len(several) < FEW_LABELS:
        text = f"Only {len(several)} training labels have two different samples or more: {named(several.index)}."
        remedy = "Expect little of the model for other labels; some dozens are a good start."
        problems.append(LabelProblem(0, "label", text, remedy, "warning", first(several.index)))
    if isinstance(recipe.sampler, BalancedSampler) and len(several) >= 2:
        problems += check_batch_samples(several, recipe.sampler.instances)
    if len(single):
        who = "1 training label has" if len(single) == 1 else f"{len(single)} training labels have"
        text = f"{who} one sample, copies left out: {named(single.index)}."
        remedy = "One sample teaches little; add photos."
        problems.append(LabelProblem(0, "label", text, remedy, "warning", first(single.index)))
    return problems


def check_batch_samples(counts: pd.Series, instances: int) -> list[Problem]:
    """Labels, by their `counts` of different samples, that fill their part of a batch only with photos twice."""
    short = counts[counts < instances]
    if short.empty:
        return []
    text = f"A batch takes {instances} samples of each label, and repeats photos of training labels that have fewer: "
    text += f"{listed(short.index)}."
    remedy = f"Set samples of each label to {max(2, int(short.min()))}, or add photos of them."
    return [LabelProblem(0, "label", text, remedy, "warning", first(short.index))]


def check_validation(manifest: pd.DataFrame) -> list[Problem]:
    if not (manifest["split"] == "validation").any():
        text = "There is no validation split, so nothing would tell whether the model is any good."
        return [Problem(0, "split", text, "Move about a third of the labels to validation.")]
    alone, queries = matchless_queries(manifest, manifest_rows(manifest))
    if len(alone) == queries:
        text = f"Not one of the {queries} queries has a match in the gallery, so nothing can be measured."
        remedy = "Give validation labels two samples or more: one in the query, another in the gallery."
        return [Problem(0, "is_gallery", text, remedy)]
    if len(alone):
        text = f"{len(alone)} of {queries} queries have no match in the gallery and are left out of the report: "
        text += f"{named(alone['path'])}."
        remedy = "Give their labels a gallery sample that is neither a copy nor of the same sequence."
        return [Problem(0, "is_gallery", text, remedy, "warning")]
    return []


def check_leaks(train: pd.DataFrame, validation: pd.DataFrame, shared_labels: Severity) -> list[Problem]:
    problems: list[Problem] = []
    both = sorted(set(train["label"]) & set(validation["label"]))
    if both:
        alone = len(both) == 1
        who, whose = ("1 label is", "its samples") if alone else (f"{len(both)} labels are", "all samples of each")
        text = f"{who} in both splits, which flatters the figures: {named(both)}."
        problems.append(LabelProblem(0, "split", text, f"Move {whose} to one split.", shared_labels, first(both)))
    return [*problems, *check_shared_files(train, validation)]


def check_shared_files(train: pd.DataFrame, validation: pd.DataFrame) -> list[Problem]:
    """Files in both splits: an error where the box is the same, else a warning, as a table's check has it."""
    both = validation["sha256"].isin(set(train["sha256"])).to_numpy(bool)
    groups = photo_groups(pd.concat([train, validation], ignore_index=True))
    trains = np.isin(groups[len(train) :], groups[: len(train)])
    problems: list[Problem] = []
    if (both & trains).any():
        text = f"Validation samples of files that train too: {listed(validation['path'][both & trains])}."
        problems.append(Problem(0, "path", text, "Remove them from one of the splits."))
    if (both & ~trains).any():
        text = f"Validation samples of files of which another box trains: {listed(validation['path'][both & ~trains])}."
        problems.append(Problem(0, "path", text, "Put all boxes of a photo into one split.", "warning"))
    return problems

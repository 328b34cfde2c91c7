"""The split guard: what stands between a manifest and a training, found before any work. No torch."""

from collections.abc import Iterable

import pandas as pd

from mlcore.config import BalancedSampler, Recipe
from mlcore.matches import manifest_rows
from mlcore.table.categories import check_categories
from mlcore.table.check import matchless_queries
from mlcore.table.problem import Problem, Severity

SHOWN = 5  # names in a message


def preflight(manifest: pd.DataFrame, recipe: Recipe, *, shared_labels: Severity = "error") -> list[Problem]:
    """Faults of a training by `recipe` on `manifest` (see `mlcore.manifest`). Those that are errors stop it."""
    train = manifest[manifest["split"] == "train"]
    validation = manifest[manifest["split"] == "validation"]
    return [
        *check_training_labels(train, recipe),
        *check_categories(train, recipe),
        *check_validation(manifest),
        *check_leaks(train, validation, shared_labels),
    ]


def named(names: Iterable[object], count: int) -> str:
    """`a, b, c and 4 more`."""
    shown = [str(name) for name, _ in zip(names, range(SHOWN), strict=False)]
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")


def check_training_labels(train: pd.DataFrame, recipe: Recipe) -> list[Problem]:
    counts = train["label"].value_counts()
    several, single = counts[counts >= 2], counts[counts == 1]
    problems = []
    if len(several) < 2:
        text = f"Training labels with two samples or more: {len(several)}"
        text += f" ({named(several.index, len(several))})" if len(several) else ""
        remedy = "Label more photos, or move labels from validation to train."
        problems.append(Problem(0, "label", f"{text}; at least 2 are needed.", remedy))
    elif isinstance(recipe.sampler, BalancedSampler) and len(counts) < recipe.sampler.labels:
        text = f"The recipe puts {recipe.sampler.labels} labels into a batch; the train split has {len(counts)}."
        problems.append(Problem(0, "label", text, f"Set labels per batch to {len(counts)} or fewer, or add labels."))
    if len(single):
        text = f"{len(single)} training labels have one sample: {named(single.index, len(single))}."
        problems.append(Problem(0, "label", text, "They teach little; add photos of them.", "warning"))
    return problems


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
        text += f"{named(alone['path'], len(alone))}."
        return [Problem(0, "is_gallery", text, "Give their labels a gallery sample.", "warning")]
    return []


def check_leaks(train: pd.DataFrame, validation: pd.DataFrame, shared_labels: Severity) -> list[Problem]:
    problems = []
    both = sorted(set(train["label"]) & set(validation["label"]))
    if both:
        text = f"{len(both)} labels are in both splits, which flatters the figures: {named(both, len(both))}."
        problems.append(Problem(0, "split", text, "Put all samples of a label into one split.", shared_labels))
    copies = validation[validation["sha256"].isin(set(train["sha256"]))]
    if len(copies):
        text = f"{len(copies)} validation samples are of files that train too: {named(copies['path'], len(copies))}."
        problems.append(Problem(0, "path", text, "Remove them from one of the splits."))
    return problems

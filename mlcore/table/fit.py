"""What of a recipe the train rows can fill, so that a preset starts on few photos too. No torch."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from mlcore.config import BalancedSampler, CategoryBalancedSampler, Recipe
from mlcore.table.guard import different_samples


@dataclass(frozen=True)
class TrainFacts:
    """How much there is to train on: labels, and different samples of the label that has most."""

    labels: int
    most_samples: int


@dataclass(frozen=True)
class Note:
    """One setting of the sampler that was lowered. `key`: its name, `labels` or `instances`."""

    key: str
    asked: int
    value: int
    reason: str

    def __str__(self) -> str:
        return f"{self.asked} in the preset; {self.reason}."


def train_facts(manifest: pd.DataFrame) -> TrainFacts:
    """The facts of a manifest's train rows (see `mlcore.manifest`)."""
    counts = different_samples(manifest[manifest["split"] == "train"])
    return TrainFacts(labels=len(counts), most_samples=int(counts.max()) if len(counts) else 0)


def recipe_fit(recipe: Recipe, facts: TrainFacts, *, keep: Collection[str] = ()) -> tuple[Recipe, list[Note]]:
    """The recipe with balanced batches that the train rows can fill, and a note for each setting that was lowered.

    A batch gets no more labels than there are, and no more samples of each than the largest label has. Settings named
    in `keep` are somebody's wish and stay; so does everything where no training is possible (under 2 labels, or 2
    samples): the preflight says why.
    """
    sampler = recipe.sampler
    if not isinstance(sampler, BalancedSampler) or facts.labels < 2 or facts.most_samples < 2:
        return recipe, []
    found = [
        Note("labels", sampler.labels, facts.labels, f"the train split has {facts.labels} labels"),
        Note(
            "instances",
            sampler.instances,
            facts.most_samples,
            f"no train label has more than {facts.most_samples} samples",
        ),
    ]
    notes = [note for note in found if note.value < note.asked and note.key not in keep]
    changes = {note.key: note.value for note in notes}
    if isinstance(sampler, CategoryBalancedSampler) and "labels" in changes:
        changes["categories"] = min(sampler.categories, changes["labels"])
    fitted = sampler.model_copy(update=changes)
    return recipe.model_copy(update={"sampler": fitted}), notes

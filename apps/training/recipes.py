"""Recipes as people edit them: a few knobs, and the complete text behind them. No torch."""

from collections.abc import Collection, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from mlcore.config import (
    PRESETS,
    ArcFace,
    BalancedSampler,
    Handcrafted,
    Loss,
    ProxyAnchor,
    Recipe,
    ShuffleSampler,
    Triplet,
)
from mlcore.config.faults import recipe_faults
from mlcore.config.text import commented
from mlcore.table import Note, TrainFacts, recipe_fit

ARCHES = [
    ("resnet18", "ResNet-18, 11 million parameters"),
    ("resnet34", "ResNet-34, 21 million"),
    ("resnet50", "ResNet-50, 24 million"),
    ("vit_tiny", "ViT tiny"),
    ("vit_b_32", "ViT-B/32, 88 million"),
    ("vit_b_16", "ViT-B/16, 86 million"),
    ("vit_l_16", "ViT-L/16, 300 million"),
]
LOSSES: list[tuple[Loss, str]] = [
    (ProxyAnchor(), "Proxy anchor: a place per label"),
    (ArcFace(), "ArcFace: a direction per label"),
    (Triplet(), "Triplet: hardest pairs of a batch"),
]
BATCH_KNOBS = ("labels", "instances")  # until somebody turns them, they are the preset's as far as the photos go
MAX_TEXT = 20_000  # characters; a complete recipe has about four thousand


class RecipeError(Exception):
    """The text is no recipe. `problems`: `{"column", "message", "remedy", "severity"}`, the column a key's path."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{problem['column']}: {problem['message']}" for problem in problems))
        self.problems = problems


def recipe_text(recipe: Recipe) -> str:
    """The complete recipe as YAML that explains itself."""
    return commented(recipe, "What is left out keeps its default.")


def recipe_parse(text: str) -> Recipe:
    """A recipe from YAML or JSON. Raises RecipeError listing every fault by the path of its field."""
    if len(text) > MAX_TEXT:
        raise RecipeError([problem("", f"The text is longer than {MAX_TEXT:,} characters.")])
    try:
        # Aliases could make a small text unfold into gigabytes; a recipe has no use for them.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise RecipeError([problem("", "YAML aliases (*name) are not taken here.")])
        data = yaml.safe_load(text)
    except RecipeError:
        raise
    except Exception as error:  # YAMLError, and whatever its constructors raise of a date, a number, a tag
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        why = "it is nested too deep" if isinstance(error, RecursionError) else getattr(error, "problem", error)
        raise RecipeError([problem(place, f"This is neither YAML nor JSON: {why}.")]) from None
    if not isinstance(data, dict):
        raise RecipeError([problem("", "A recipe is a mapping of names to values.")])
    return recipe_validate(data)


def recipe_validate(data: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        faults = recipe_faults(error, data)
        raise RecipeError([problem(fault.key, fault.message, fault.remedy) for fault in faults]) from None


def problem(column: str, message: str, remedy: str = "") -> dict[str, str]:
    return {"column": column, "message": message, "remedy": remedy, "severity": "error"}


def knobs_of(recipe: Recipe) -> dict[str, Any]:
    """The main knobs, as the form shows them; None for those that the recipe's network or sampler does not have."""
    sampler = recipe.sampler if isinstance(recipe.sampler, BalancedSampler) else None
    return {
        "steps": recipe.steps,
        "size": recipe.preprocess.size,
        "arch": recipe.extractor.arch,
        "dimension": recipe.extractor.dimension,
        "loss": recipe.loss.kind,
        "lr": recipe.optimizer.lr,
        "labels": sampler.labels if sampler else None,
        "instances": sampler.instances if sampler else None,
        "seed": recipe.seed,
        "statistics": None if isinstance(recipe.extractor, Handcrafted) else recipe.extractor.statistics,
    }


def knobs_apply(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with some knobs turned. Raises RecipeError for a value that a recipe cannot have.

    When the steps change, validation and checkpoints keep their share of the whole.
    """
    data = recipe.model_dump(mode="json")
    for name, value in changes.items():
        match name:
            case "steps":
                for every in ("validate_every", "checkpoint_every"):
                    data[every] = max(1, round(data[every] * value / recipe.steps))
                data["steps"] = value
            case "size":
                data["preprocess"]["size"] = value
            case "arch":
                kind = "resnet" if value.startswith("resnet") else "vit"
                # Weights and width are the other network's.
                own = ("pretrained", "head") if data["extractor"].get("head") == {"kind": "none"} else ("pretrained",)
                kept = {key: setting for key, setting in data["extractor"].items() if key not in own}
                data["extractor"] = {**kept, "kind": kind, "arch": value}
            case "dimension" | "statistics":
                data["extractor"][name] = value
            case "loss":
                if value != recipe.loss.kind:
                    data["loss"] = {loss.kind: loss for loss, _ in LOSSES}[value].model_dump(mode="json")
            case "lr":
                data["optimizer"]["lr"] = value
            case "labels" | "instances":
                if isinstance(recipe.sampler, ShuffleSampler):
                    data["sampler"] = BalancedSampler().model_dump(mode="json") | {
                        key: changes[key] for key in ("labels", "instances") if changes.get(key)
                    }
                else:
                    data["sampler"][name] = value
            case "seed":
                data["seed"] = value
    return recipe_validate(data)


def own_knobs(recipe: Recipe, preset: str, facts: TrainFacts) -> set[str]:
    """Which of the `BATCH_KNOBS` are not what the preset has on these train rows; without a preset, all of them."""
    if preset not in PRESETS:
        return set(BATCH_KNOBS)
    fitted = knobs_of(recipe_fit(PRESETS[preset], facts)[0])
    return {name for name in BATCH_KNOBS if knobs_of(recipe)[name] != fitted[name]}


def batch_fit(recipe: Recipe, preset: str, facts: TrainFacts, *, own: Collection[str]) -> tuple[Recipe, list[Note]]:
    """The recipe with the preset's batches as large as the train rows can fill; the `BATCH_KNOBS` in `own` stay.

    A recipe that began at no preset stays as it is.
    """
    if preset not in PRESETS or not isinstance(recipe.sampler, BalancedSampler):
        return recipe, []
    wanted = knobs_of(PRESETS[preset])
    changes = {name: wanted[name] for name in BATCH_KNOBS if name not in own and wanted[name] is not None}
    return recipe_fit(knobs_apply(recipe, changes), facts, keep=own)

"""The faults of a recipe in words: the key as it is written, what is wrong, what to write instead."""

from typing import Any

import pytest
from pydantic import ValidationError

from mlcore.config import Handcrafted, Recipe
from mlcore.config.faults import LONGEST, Fault, groups_at, kind_of, recipe_faults

GROUP = "will not do, for this is a group of settings."


def faults(tree: dict[str, Any]) -> list[Fault]:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(tree)
    return recipe_faults(caught.value, tree)


@pytest.mark.parametrize(
    ("tree", "key", "message", "remedy"),
    [
        ({"stepps": 5}, "stepps", "There is no such key.", "Did you mean steps?"),
        ({"loss": {"kind": "arcface", "margn": 1}}, "loss.margn", "There is no such key.", "Did you mean margin?"),
        ({"extractor": {"kind": "resnext"}}, "extractor", "There is no kind resnext.", "Did you mean resnet?"),
        (
            {"sampler": {"labels": 8}},
            "sampler",
            "The kind is missing.",
            "Add kind: balanced or category_balanced or distinct_category or shuffle.",
        ),
        ({"amp": "fp8"}, "amp", "'fp8' is none of the choices.", "Write 'none', 'bf16' or 'fp16'."),
        ({"steps": 0}, "steps", "0 will not do.", "It should be greater than 0."),
        ({"seed": -1}, "seed", "-1 will not do.", "It should be greater than or equal to 0."),
        ({"seed": 2**32}, "seed", "4294967296 will not do.", "It should be less than 4294967296."),
        ({"steps": 10**10}, "steps", "10000000000 will not do.", "It should be less than or equal to 1000000000."),
        ({"preprocess": {"std": [1, 0, 1]}}, "preprocess.std.1", "0 will not do.", "It should be greater than 0."),
        # A group that was given as one value.
        ({"loss": "triplet"}, "loss", f"'triplet' {GROUP}", "Set loss.kind to triplet."),
        (
            {"optimizer": {"schedule": 3}},
            "optimizer.schedule",
            f"3 {GROUP}",
            "Set optimizer.schedule.kind to one of: one_cycle, cosine, step, plateau, constant.",
        ),
        ({"preprocess": None}, "preprocess", f"None {GROUP}", "Set what is in it, such as preprocess.crop_share."),
        (
            {"augment": "fierce"},
            "augment",
            "'fierce' will not do.",
            "It should be one of: none, light, standard, strong, or settings.",
        ),
        # The kind is no key of its own, in whatever depth.
        (
            {"sampler": {"kind": "balanced", "labels": 1}},
            "sampler.labels",
            "1 will not do.",
            "It should be greater than or equal to 2.",
        ),
        (
            {"loss": {"kind": "triplet", "miner": {"kind": "hard", "hard": 1}}},
            "loss.miner.hard",
            "There is no such key.",
            "Choose one of: kind.",
        ),
    ],
)
def test_each_kind_of_fault(tree: dict[str, Any], key: str, message: str, remedy: str) -> None:
    (fault,) = faults(tree)
    assert (fault.key, fault.message, fault.remedy) == (key, message, remedy)


def test_settings_that_contradict_each_other() -> None:
    (fault,) = faults({"sampler": {"kind": "category_balanced", "labels": 2}})
    assert fault.place == ("sampler",)
    assert "4 categories do not fit into the 2 labels of a batch" in fault.message
    assert fault.remedy == "Change one of them."


def test_all_faults_are_told() -> None:
    keys = [fault.key for fault in faults({"steps": 0, "optimizer": {"lr": "fast"}, "colour": "red"})]
    assert sorted(keys) == ["colour", "optimizer.lr", "steps"]


@pytest.mark.parametrize("value", ["x" * 5000, [0] * 5000, 16**5000], ids=["text", "list", "number"])
def test_a_long_value_is_not_repeated_whole(value: Any) -> None:
    (fault,) = faults({"amp": value})
    assert len(fault.message) < LONGEST + 40


def test_a_long_kind_is_not_repeated_whole() -> None:
    (fault,) = faults({"extractor": {"kind": "x" * 5000}})
    assert len(fault.message) < LONGEST + 40


def test_all_kinds_are_known() -> None:
    assert Handcrafted in groups_at(("extractor",), {})
    assert len(groups_at(("loss",), {})) == 14
    assert kind_of(groups_at(("sampler",), {})[0]) == "balanced"

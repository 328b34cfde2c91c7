"""The split guard: each bad split is told before any work."""

import pandas as pd

from mlcore.config import BalancedSampler, Recipe, ShuffleSampler
from mlcore.manifest import as_manifest
from mlcore.table import Problem, check_set, preflight

RECIPE = Recipe(sampler=BalancedSampler(labels=2, instances=2))


def manifest(rows: list[tuple[str, str]], **columns: object) -> pd.DataFrame:
    """(label, split) of each row; validation rows are query and gallery."""
    frame = pd.DataFrame(rows, columns=["label", "split"])
    names = [str(number) for number in range(len(frame))]
    held_out = frame["split"] == "validation"
    frame = frame.assign(sample_id=range(1, len(frame) + 1), image_key=names, sha256=names, path=names)
    frame = frame.assign(category=None, sequence=None, is_query=held_out, is_gallery=held_out)
    frame = frame.assign(x_1=None, y_1=None, x_2=None, y_2=None)
    return as_manifest(frame.assign(**columns))


TRAIN = [(label, "train") for label in "abcdefgh" for _ in range(2)]
TRAIN_FILES = [f"train-{number}" for number in range(len(TRAIN))]
VALIDATION = [("x", "validation"), ("x", "validation"), ("y", "validation"), ("y", "validation")]


def short(problems: list[Problem]) -> list[tuple[str, str]]:
    assert all(problem.row == 0 and problem.message and problem.remedy for problem in problems)
    return [(problem.column, problem.severity) for problem in problems]


def test_a_sound_split() -> None:
    assert preflight(manifest(TRAIN + VALIDATION), RECIPE) == []


def test_too_few_training_labels() -> None:
    one = [("a", "train"), ("a", "train"), ("b", "train")]
    assert short(preflight(manifest(one + VALIDATION), RECIPE)) == [("label", "error"), ("label", "warning")]
    assert short(preflight(manifest(VALIDATION), RECIPE)) == [("label", "error")]
    many = Recipe(sampler=BalancedSampler(labels=16, instances=2))
    problems = preflight(manifest(TRAIN + VALIDATION), many)
    assert short(problems) == [("label", "error")]
    assert "16 labels into a batch; the train split has 8" in problems[0].message
    assert "8 or fewer" in problems[0].remedy
    assert preflight(manifest(TRAIN + VALIDATION), Recipe(sampler=ShuffleSampler())) == []


def test_copies_of_a_photo_are_one_sample() -> None:
    rows = manifest(TRAIN[:4] + VALIDATION, sha256=["1", "2", "same", "same", "5", "6", "7", "8"])
    problems = preflight(rows, RECIPE)
    assert short(problems) == [("label", "error"), ("label", "warning")]
    assert "Only 1 training label (a) has two different samples" in problems[0].message
    assert problems[1].message == "1 training label has one sample, copies left out: b."


def test_two_labels_train_with_a_warning() -> None:
    problems = preflight(manifest(TRAIN[:4] + VALIDATION), RECIPE)
    assert short(problems) == [("label", "warning")]
    assert problems[0].message == "Only 2 training labels have two different samples or more: a, b."


def test_labels_that_repeat_photos_in_a_batch_are_named() -> None:
    rows = manifest([*TRAIN, ("h", "train"), ("h", "train"), *VALIDATION])
    problems = preflight(rows, Recipe(sampler=BalancedSampler(labels=8, instances=4)))
    assert short(problems) == [("label", "warning")]
    assert "7 (a, b, c, d, e and 2 more)" in problems[0].message
    assert preflight(rows, RECIPE) == []
    assert preflight(rows, Recipe(sampler=ShuffleSampler())) == []


def test_no_validation_or_none_that_matches() -> None:
    assert short(preflight(manifest(TRAIN), RECIPE)) == [("split", "error")]
    lonely = [("x", "validation"), ("y", "validation")]
    assert short(preflight(manifest(TRAIN + lonely), RECIPE)) == [("is_gallery", "error")]
    assert short(preflight(manifest([*TRAIN, *VALIDATION, ("z", "validation")]), RECIPE)) == [("is_gallery", "warning")]


def test_a_copy_or_a_burst_is_no_match() -> None:
    rows = [*TRAIN, ("x", "validation"), ("x", "validation")]
    copies = manifest(rows, sha256=[*TRAIN_FILES, "same", "same"])
    assert short(preflight(copies, RECIPE)) == [("is_gallery", "error")]
    burst = manifest(rows, sequence=[*[None] * len(TRAIN), "s", "s"])
    assert short(preflight(burst, RECIPE)) == [("is_gallery", "error")]


def test_leaks() -> None:
    shared = manifest([*TRAIN, *VALIDATION, ("a", "validation"), ("a", "validation")])
    assert short(preflight(shared, RECIPE)) == [("split", "error")]
    assert short(preflight(shared, RECIPE, shared_labels="warning")) == [("split", "warning")]
    copied = manifest(TRAIN + VALIDATION, sha256=[*TRAIN_FILES, "train-0", "6", "7", "8"])
    problems = preflight(copied, RECIPE)
    assert short(problems) == [("path", "error")]
    assert f"Validation samples of files that train too: 1 ({len(TRAIN)})" in problems[0].message


def test_another_box_of_a_file_that_trains_is_a_warning() -> None:
    """As the check of a table has it."""
    sides = ([0, *[None] * 15, left, *[None] * 3] for left in (0, 5))
    files = [*TRAIN_FILES, "train-0", "6", "7", "8"]
    same, other = (manifest(TRAIN + VALIDATION, sha256=files, x_1=x, y_1=x, x_2=x, y_2=x) for x in sides)
    assert short(preflight(same, RECIPE)) == [("path", "error")]
    assert short(preflight(other, RECIPE)) == [("path", "warning")]


def test_a_further_validation_set_is_checked_beside_the_train_rows() -> None:
    train = manifest(TRAIN, sha256=TRAIN_FILES)
    others = [f"other-{number}" for number in range(6)]
    sound = manifest([("c", "train"), ("d", "train"), *VALIDATION], sha256=others)  # train rows of its own do not count
    assert check_set("street", sound, train) == []
    assert short(check_set("street", manifest(TRAIN), train)) == [("split", "error")]
    shared = manifest([("a", "validation"), ("a", "validation"), *VALIDATION], sha256=["train-0", *others[1:]])
    problems = check_set("street", shared, train)
    assert short(problems) == [("split", "error"), ("path", "error")]
    assert problems[0].message.startswith("Validation set street: 1 label is in both splits")
    allowed = check_set("street", shared, train, shared_labels="warning")
    assert short(allowed) == [("split", "warning"), ("path", "error")]


def test_long_lists_of_names_are_cut() -> None:
    singles = [(f"single{number}", "train") for number in range(9)]
    problems = preflight(manifest(TRAIN + singles + VALIDATION), RECIPE)
    assert "and 4 more" in problems[0].message

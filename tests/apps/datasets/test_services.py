"""Editing samples and labels, freezing, deleting."""

import io
from typing import Any

import pandas as pd
import pytest
from django.core.files.storage import default_storage

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict, Forbidden
from apps.datasets import selectors
from apps.datasets.models import Category, Dataset, Image, Label, Sample, Snapshot
from apps.datasets.selectors import SampleFilter
from apps.datasets.services import (
    dataset_create,
    dataset_delete,
    label_create,
    label_edit,
    label_rename,
    sample_edit,
    samples_update,
    snapshot_create,
)
from apps.datasets.sources import StorageSource
from apps.jobs.models import Job
from apps.jobs.services import job_submit
from apps.training.models import Run
from mlcore.manifest import COLUMNS, read_manifest
from mlcore.table import check_table, read_table
from tests.apps.datasets.conftest import HEADER, table_zip


def ids(dataset: Dataset, **where: Any) -> list[int]:
    return list(Sample.objects.filter(dataset=dataset, **where).order_by("pk").values_list("pk", flat=True))


def test_the_maker_is_a_manager_and_names_are_unique(user: User, other_user: User) -> None:
    dataset = dataset_create(name=" Mugs ", user=user)
    assert dataset.name == "Mugs"
    assert Membership.objects.get(dataset=dataset).role == Role.MANAGER
    with pytest.raises(BadInput, match="already"):
        dataset_create(name="Mugs", user=other_user)
    with pytest.raises(BadInput):
        dataset_create(name="  ", user=user)


def test_a_new_label_takes_its_samples_and_their_category(filled: Dataset, user: User) -> None:
    label_create(dataset=filled, name="jug", category="jugs", user=user)
    chosen = ids(filled)[:3]
    assert samples_update(dataset=filled, user=user, sample_ids=chosen, label="jug") == 3
    rows = Sample.objects.filter(pk__in=chosen)
    assert set(rows.values_list("label__name", "category__name", "version")) == {("jug", "jugs", 2)}
    samples_update(dataset=filled, user=user, sample_ids=chosen, label="")
    assert set(rows.values_list("label", "category")) == {(None, None)}


def test_the_split_takes_the_flags_along(filled: Dataset, user: User) -> None:
    chosen = ids(filled, split="validation")[:2]
    samples_update(dataset=filled, user=user, sample_ids=chosen, split="train")
    rows = Sample.objects.filter(pk__in=chosen).values_list("split", "is_query", "is_gallery")
    assert set(rows) == {("train", False, False)}
    samples_update(dataset=filled, user=user, sample_ids=chosen, split="validation")
    assert set(rows.all()) == {("validation", True, True)}
    samples_update(dataset=filled, user=user, sample_ids=chosen, is_query=True, is_gallery=False)
    samples_update(dataset=filled, user=user, sample_ids=chosen, split="validation")
    assert set(rows.all()) == {("validation", True, False)}  # what was chosen is kept


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"split": "test"},
        {"is_query": True},
        {"split": "train", "is_gallery": True},
        {"label": "x" * 201},
        {"label": "a\0b"},
    ],
)
def test_a_change_that_cannot_be_changes_nothing(filled: Dataset, user: User, change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        samples_update(dataset=filled, user=user, sample_ids=ids(filled), **change)
    assert not Sample.objects.filter(version__gt=1).exists()


def test_all_that_match_is_exactly_that(filled: Dataset, user: User) -> None:
    where = SampleFilter(q="mug 1", split="train")
    assert samples_update(dataset=filled, user=user, sample_ids=where, expected_count=2, label="pot") == 2
    assert Sample.objects.filter(label__name="pot", version=2).count() == 2
    with pytest.raises(Conflict, match="now 0 match") as caught:
        samples_update(dataset=filled, user=user, sample_ids=where, expected_count=2, label="pan")
    assert caught.value.extra["current"] == {"count": 0}
    assert not Label.objects.filter(name="pan").exists()


def test_samples_of_another_dataset_are_not_touched(filled: Dataset, user: User) -> None:
    other = dataset_create(name="Other", user=user)
    with pytest.raises(Conflict):
        samples_update(dataset=other, user=user, sample_ids=ids(filled), label="mine")
    assert not Label.objects.filter(name="mine").exists()


def test_the_second_of_two_edits_of_a_sample_is_refused(filled: Dataset, user: User) -> None:
    sample = Sample.objects.filter(dataset=filled).order_by("pk")[0]
    sample_edit(sample=sample, user=user, version=1, label="pot")
    with pytest.raises(Conflict, match="now pot") as caught:
        sample_edit(sample=sample, user=user, version=1, label="pan")
    assert caught.value.extra["current"]["label"] == "pot"
    assert caught.value.extra["current"]["version"] == 2


def test_the_second_of_two_edits_of_a_label_is_refused(filled: Dataset, user: User) -> None:
    label = Label.objects.get(name="mug 0")
    label_rename(label=label, name="red mug", version=1, user=user)
    with pytest.raises(Conflict, match="red mug") as caught:
        label_rename(label=label, name="blue mug", version=1, user=user)
    assert caught.value.extra["current"] == {"name": "red mug", "category": "mugs", "version": 2}
    with pytest.raises(Conflict, match="already"):
        label_rename(label=label, name="mug 1", version=2, user=user)


def test_a_labels_category_reaches_its_samples(filled: Dataset, user: User) -> None:
    label = Label.objects.get(name="mug 0")
    label_edit(label=label, version=1, user=user, category="vessels")
    assert set(Sample.objects.filter(label=label).values_list("category__name", flat=True)) == {"vessels"}
    label_edit(label=label, version=2, user=user, category="")
    assert set(Sample.objects.filter(label=label).values_list("category", flat=True)) == {None}


def test_who_only_looks_may_not_write(filled: Dataset, other_user: User) -> None:
    label = Label.objects.filter(dataset=filled)[0]
    sample = Sample.objects.filter(dataset=filled)[0]
    for role in (None, Role.VIEWER):
        if role:
            Membership.objects.create(user=other_user, dataset=filled, role=role)
        with pytest.raises(Forbidden):
            samples_update(dataset=filled, user=other_user, sample_ids=[sample.pk], label="x")
        with pytest.raises(Forbidden):
            sample_edit(sample=sample, user=other_user, version=1, label="x")
        with pytest.raises(Forbidden):
            label_edit(label=label, user=other_user, version=1, name="x")
        with pytest.raises(Forbidden):
            label_create(dataset=filled, user=other_user, name="x")
        with pytest.raises(Forbidden):
            snapshot_create(dataset=filled, user=other_user)


def test_a_snapshot_holds_what_can_be_used(filled: Dataset, user: User) -> None:
    left_out = ids(filled)[0]
    samples_update(dataset=filled, user=user, sample_ids=[left_out], label="")
    snapshot = snapshot_create(dataset=filled, user=user)
    assert snapshot.number == 1
    assert snapshot.counts == {
        "samples": 7,
        "labels": 4,
        "categories": 2,
        "train": 3,
        "validation": 4,
        "queries": 4,
        "gallery": 4,
    }
    data = StorageSource()(snapshot.manifest_key)
    manifest = read_manifest(data)
    assert list(manifest.columns) == COLUMNS
    assert manifest["sample_id"].tolist() == ids(filled)[1:]
    first = Sample.objects.select_related("image", "label").get(pk=manifest["sample_id"][0])
    assert manifest["image_key"][0] == first.image.key
    assert (manifest["label"][0], manifest["category"][0]) == ("mug 0", "mugs")
    assert default_storage.exists(manifest["image_key"][0])


def test_the_same_content_is_the_same_snapshot(filled: Dataset, user: User) -> None:
    first = snapshot_create(dataset=filled, user=user)
    assert snapshot_create(dataset=filled, user=user) == first
    samples_update(dataset=filled, user=user, sample_ids=ids(filled)[:1], label="pot")
    second = snapshot_create(dataset=filled, user=user)
    assert (second.number, Snapshot.objects.count()) == (2, 2)
    assert second.sha256 != first.sha256


def test_nothing_cannot_be_frozen(dataset: Dataset, user: User) -> None:
    with pytest.raises(BadInput, match="nothing to freeze"):
        snapshot_create(dataset=dataset, user=user)


def test_a_snapshots_table_comes_in_again_and_runs_no_formula(dataset: Dataset, user: User, bring_in: Any) -> None:
    rows = ["=cmd(),img/0.jpg,train,,,1,2,9,10", "-1,img/1.jpg,validation,True,,,,,", "-1,img/2.jpg,validation,,1,,,,"]
    _, job = bring_in(table_zip(rows, header=f"{HEADER},x_1,y_1,x_2,y_2"))
    assert job.result["added"] == 3, job.error
    text = selectors.snapshot_csv(snapshot_create(dataset=dataset, user=user))
    assert "'=cmd()" in text
    assert not any(line.startswith(("=", "-")) for line in text.splitlines())
    frame = read_table(text.encode())
    assert frame["label"].tolist() == ["=cmd()", "-1", "-1"]
    assert pd.read_csv(io.StringIO(text.removeprefix("\ufeff")))["x_2"].tolist()[0] == 9
    assert not [problem for problem in check_table(frame) if problem.severity == "error"]


def test_what_a_snapshot_would_trip_over(filled: Dataset, user: User) -> None:
    assert selectors.snapshot_warnings(dataset=filled) == []
    first, *_ = ids(filled, split="train")
    samples_update(dataset=filled, user=user, sample_ids=[first], label="cup 2")
    samples_update(dataset=filled, user=user, sample_ids=ids(filled, label__name="mug 1")[:1], label="")
    text = " ".join(problem.message for problem in selectors.snapshot_warnings(dataset=filled))
    assert "1 samples have no label" in text
    assert "1 labels are in both splits" in text
    assert "2 labels have one sample" in text


def test_a_dataset_goes_with_all_it_has(filled: Dataset, user: User) -> None:
    snapshot_create(dataset=filled, user=user)
    dataset_delete(dataset=filled)
    for model in (Dataset, Sample, Label, Category, Snapshot, Membership):
        assert not model.objects.exists()  # type: ignore[attr-defined]
    assert Image.objects.count() == 8  # their files may serve another dataset


def test_a_dataset_is_kept_while_work_runs_on_it(filled: Dataset, user: User) -> None:
    job_submit(kind="train", title="Train", payload={}, owner=user, dataset=filled)
    with pytest.raises(Conflict, match="still queued"):
        dataset_delete(dataset=filled)
    assert Sample.objects.count() == 8


def test_a_dataset_is_kept_as_long_as_something_names_it(filled: Dataset, user: User) -> None:
    snapshot = snapshot_create(dataset=filled, user=user)
    job = Job.objects.create(kind="train", title="Train", state="succeeded", dataset=filled)
    run = Run.objects.create(dataset=filled, snapshot=snapshot, job=job, name="Run", preset="quick", recipe={})
    with pytest.raises(Conflict, match="still needed by runs"):
        dataset_delete(dataset=filled)
    assert Sample.objects.filter(dataset=filled).count() == 8  # all or nothing
    run.delete()
    dataset_delete(dataset=filled)

"""Editing samples and labels, freezing, deleting."""

import io
from typing import Any

import pandas as pd
import pytest
from django.core.files.storage import default_storage

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict, Forbidden
from apps.datasets import selectors
from apps.datasets.models import Category, Dataset, Image, ImportFile, Label, Sample, Snapshot
from apps.datasets.selectors import SampleFilter
from apps.datasets.selectors.snapshots import SnapshotOutlook
from apps.datasets.services import (
    InUse,
    NameTaken,
    dataset_create,
    dataset_delete,
    dataset_edit,
    dataset_version,
    label_create,
    label_delete,
    label_edit,
    label_rename,
    sample_edit,
    samples_delete,
    samples_update,
    snapshot_create,
)
from apps.datasets.sources import StorageSource
from apps.jobs.models import Job
from apps.jobs.services import job_submit
from apps.reports.models import Evaluation, QueryResult
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
    with pytest.raises(NameTaken, match="already"):
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
        with pytest.raises(Forbidden):
            label_delete(label=label, user=other_user, version=1)
    Membership.objects.filter(user=other_user).update(role=Role.ANNOTATOR)
    with pytest.raises(Forbidden):
        samples_delete(dataset=filled, user=other_user, sample_ids=[sample.pk])
    with pytest.raises(Forbidden):
        dataset_edit(dataset=filled, user=other_user, name="x", description="", version=dataset_version(filled))


def test_samples_go_and_what_names_them_stays(filled: Dataset, user: User) -> None:
    """The ledger of their import and the reports lose the sample; a report's labels are its own."""
    snapshot = snapshot_create(dataset=filled, user=user)
    job = Job.objects.create(kind="train", title="Train", state="succeeded", dataset=filled)
    run = Run.objects.create(dataset=filled, snapshot=snapshot, job=job, name="Run", preset="quick", recipe={})
    done = Job.objects.create(kind="evaluate", title="Report", state="succeeded", dataset=filled)
    report = Evaluation.objects.create(run=run, snapshot=snapshot, job=done)
    gone, kept = ids(filled, split="validation")[:2]
    for sample in (gone, kept):
        QueryResult.objects.create(evaluation=report, sample_id=sample, label="cup 2", average_precision=1)
    assert samples_delete(dataset=filled, user=user, sample_ids=[gone]) == 1
    assert list(report.queries.order_by("pk").values_list("sample", "label")) == [(None, "cup 2"), (kept, "cup 2")]
    assert ImportFile.objects.filter(outcome="added", sample=None).count() == 1
    assert ids(filled, label__name="cup 2") == [kept]
    assert Image.objects.count() == 8  # the sweep's business
    where = SampleFilter(split="train")
    with pytest.raises(Conflict, match="now 4 match"):
        samples_delete(dataset=filled, user=user, sample_ids=where, expected_count=5)
    assert samples_delete(dataset=filled, user=user, sample_ids=where, expected_count=4) == 4
    assert Sample.objects.count() == 3


def test_samples_stay_while_work_may_read_them(filled: Dataset, user: User) -> None:
    job = job_submit(kind="train", title="Train", payload={}, owner=user, dataset=filled)
    with pytest.raises(InUse, match="“Train” is still queued, so its samples cannot be deleted"):
        samples_delete(dataset=filled, user=user, sample_ids=ids(filled))
    Job.objects.filter(pk=job.pk).update(state=Job.State.CANCELLED)
    assert samples_delete(dataset=filled, user=user, sample_ids=ids(filled)) == 8


def test_samples_of_another_dataset_are_not_deleted(filled: Dataset, user: User) -> None:
    other = dataset_create(name="Other", user=user)
    with pytest.raises(Conflict):
        samples_delete(dataset=other, user=user, sample_ids=ids(filled))
    assert Sample.objects.count() == 8


def test_what_was_deleted_meanwhile_cannot_be_edited(filled: Dataset, user: User) -> None:
    label, sample = Label.objects.get(name="mug 0"), Sample.objects.filter(label__name="mug 0")[0]
    samples_delete(dataset=filled, user=user, sample_ids=ids(filled, label=label))
    with pytest.raises(Conflict, match="deleted meanwhile"):
        sample_edit(sample=sample, user=user, version=1, split="validation")
    label_delete(label=Label.objects.get(pk=label.pk), user=user, version=1)
    for act in (label_delete, label_rename):
        with pytest.raises(Conflict, match="deleted meanwhile"):
            act(label=label, user=user, version=1, **({"name": "x"} if act is label_rename else {}))  # type: ignore[operator]


def test_a_label_is_kept_while_it_has_samples(filled: Dataset, user: User) -> None:
    label = Label.objects.get(name="mug 0")
    with pytest.raises(InUse, match="mug 0 has 2 samples") as caught:
        label_delete(label=label, user=user, version=1)
    assert caught.value.extra["current"]["samples"] == 2
    samples_update(dataset=filled, user=user, sample_ids=ids(filled, label=label), label="mug 1")
    with pytest.raises(Conflict, match="now called"):
        label_delete(label=label, user=user, version=2)
    label_delete(label=label, user=user, version=1)
    assert not Label.objects.filter(pk=label.pk).exists()


def test_a_dataset_is_renamed_and_its_name_is_its_own(dataset: Dataset, user: User) -> None:
    dataset_create(name="Cups", user=user)
    seen = dataset_version(dataset)
    for name in ("Cups", " ", "x" * 121, "a\0b"):
        with pytest.raises(BadInput):
            dataset_edit(dataset=dataset, user=user, name=name, description="", version=seen)
    edited = dataset_edit(dataset=dataset, user=user, name=" Jars ", description=" of clay ", version=seen)
    assert (edited.name, edited.description) == ("Jars", "of clay")
    with pytest.raises(Conflict, match="now called Jars") as caught:
        dataset_edit(dataset=dataset, user=user, name="Pots", description="", version=seen)
    assert caught.value.extra["current"] == {"name": "Jars", "description": "of clay"}


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
    assert selectors.snapshot_outlook(dataset=filled) == SnapshotOutlook("", [])
    first, *_ = ids(filled, split="train")
    samples_update(dataset=filled, user=user, sample_ids=[first], label="cup 2")
    samples_update(dataset=filled, user=user, sample_ids=ids(filled, label__name="mug 1")[:1], label="")
    found = {warning.message: warning.query for warning in selectors.snapshot_outlook(dataset=filled).warnings}
    assert found == {
        "1 sample has no label and is left out.": "unlabelled=1",
        "cup 2 is in both splits.": f"label={Label.objects.get(name='cup 2').pk}",
        "2 labels have one sample each (mug 0 and mug 1): little can be learned from that.": "",
    }
    for number in range(5):
        samples_update(dataset=filled, user=user, sample_ids=ids(filled)[number : number + 1], label=f"pot {number}")
    samples_update(dataset=filled, user=user, sample_ids=ids(filled), split="train")
    messages = [warning.message for warning in selectors.snapshot_outlook(dataset=filled).warnings]
    assert messages == [
        "6 labels have one sample each (cup 2, pot 0, pot 1 and 3 more): little can be learned from that.",
        "The validation split is empty: a model has nothing to be measured on.",
    ]
    samples_update(dataset=filled, user=user, sample_ids=ids(filled), label="")
    assert selectors.snapshot_outlook(dataset=filled).reason == "No sample has both a label and a split."


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

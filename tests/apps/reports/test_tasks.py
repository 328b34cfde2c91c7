"""What a report holds. The job itself runs in tests/apps/training/test_tasks.py, on a model that was trained."""

from importlib import import_module

import pytest
from django.apps import apps
from django.core.files.storage import default_storage
from django.db.models import Value
from django.db.models.functions import Concat

from apps.datasets.models import Category, Label, Sample
from apps.datasets.selectors.snapshots import manifest_read
from apps.datasets.services import snapshot_create
from apps.jobs.context import JobContext, Replaced
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.jobs.services import job_submit
from apps.reports.extras import measure
from apps.reports.models import Evaluation, QueryResult
from apps.reports.selectors import deleted_count
from apps.reports.tasks import left_out, report_write
from apps.training.models import Run
from mlcore.evaluate import QueryReport
from tests.apps.reports.conftest import report_of
from tests.apps.training.conftest import Photos

pytestmark = pytest.mark.django_db


def test_a_report_names_its_queries_and_categories(report: Evaluation, run: Run) -> None:
    assert report.counts["queries"] == report.queries.count() == 30
    assert report.counts["queries_without_match"] == 0
    assert [row["name"] for row in report.categories] == ["group 0", "group 1"]
    assert all(row["id"] for row in report.categories)
    assert report.untrained == run.untrained_metrics
    entry = report.queries.first()
    assert entry is not None
    assert len(entry.neighbours) == 10
    assert {"sample", "label", "distance", "hit"} == set(entry.neighbours[0])


def test_a_report_keeps_its_extras(report: Evaluation) -> None:
    extras = report.extras
    assert set(extras) == {"intervals", "pcf", "verification"}
    assert extras["intervals"]["figures"].keys() == report.overall.keys() | {"fnmr@0.1", "fnmr@0.01", "fnmr@0.001"}
    assert all(row["metrics"].keys() == extras["intervals"]["figures"].keys() for row in report.categories)
    low, high = extras["intervals"]["figures"]["map@r"]
    assert low < report.overall["map@r"] < high
    assert extras["pcf"]["embeddings"] == 30
    assert extras["pcf"]["dimension"] == 8


def test_names_are_those_of_the_snapshot(run: Run) -> None:
    """Even of what was renamed, relabelled or moved between the snapshot and the report."""
    frozen = manifest_read(run.snapshot).set_index("sample_id")
    Label.objects.filter(name="mark 12").update(name="another")
    Category.objects.update(name=Concat("name", Value(" renamed")))
    Sample.objects.filter(label__name="mark 13").update(label=Label.objects.get(name="mark 14"))
    report = report_of(run)
    for query in report.queries.all():
        assert (query.label, query.category) == tuple(frozen.loc[query.sample_id, ["label", "category"]])
        for entry in query.neighbours:
            assert entry["label"] == frozen.loc[entry["sample"], "label"]
            assert entry["hit"] == (entry["label"] == query.label)


def test_written_again_it_is_replaced(report: Evaluation, run: Run) -> None:
    Job.objects.filter(pk=report.job_id).update(state=Job.State.RUNNING)
    context = JobContext(Job.objects.get(pk=report.job_id))
    frame = manifest_read(run.snapshot)
    rows = frame[frame["split"] == "validation"].reset_index(drop=True)
    import numpy as np

    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (len(rows), 1))
    report_write(context, run, rows, *measure(vectors, rows))
    assert Evaluation.objects.count() == 1
    assert QueryResult.objects.count() == 30
    Job.objects.filter(pk=report.job_id).update(attempt=2)
    with pytest.raises(Replaced):
        report_write(context, run, rows, *measure(vectors, rows))
    assert QueryResult.objects.count() == 30


def test_samples_deleted_before_and_after_are_counted(run: Run) -> None:
    first, second = Sample.objects.filter(dataset=run.dataset, split="validation")[:2]
    names = [first.label, second.label]
    first.delete()
    report = report_of(run)
    assert deleted_count(report) == 1
    second.delete()
    assert deleted_count(report) == 2
    assert report.queries.count() == 30
    gone = report.queries.filter(sample=None).order_by("pk").values_list("label", flat=True)
    assert list(gone) == [str(name) for name in names]


def test_reports_of_before_get_the_names_of_their_manifest(report: Evaluation) -> None:
    migration = import_module("apps.reports.migrations.0002_names_of_the_snapshot")
    before = list(report.queries.order_by("pk").values_list("label", "category", "neighbours"))

    def forget() -> None:
        for row in report.queries.all():
            row.label = row.category = ""
            row.neighbours = [{name: entry[name] for name in ("sample", "distance", "hit")} for entry in row.neighbours]
            row.save()

    forget()
    Label.objects.update(name=Concat("name", Value(" renamed")))
    migration.names_fill(apps, None)
    assert list(report.queries.order_by("pk").values_list("label", "category", "neighbours")) == before
    forget()
    default_storage.delete(report.snapshot.manifest_key)
    migration.names_fill(apps, None)
    assert {entry["label"] for row in report.queries.all() for entry in row.neighbours} == {""}


def test_why_queries_are_left_out(run: Run, photos: Photos) -> None:
    (alone,) = photos(70, "validation", count=1)
    burst = photos(71, "validation", count=2)
    Sample.objects.filter(pk__in=[sample.pk for sample in burst]).update(sequence="burst 1")
    frame = manifest_read(snapshot_create(dataset=run.dataset, user=run.created_by))  # type: ignore[arg-type]
    rows = frame[frame["split"] == "validation"].reset_index(drop=True)
    queries = [QueryReport(sample.pk, None, None, []) for sample in (alone, *burst)]
    assert left_out(rows, queries) == {"left_out_alone": 1, "left_out_excluded": 2}


def test_a_run_without_a_model_has_no_report(run: Run) -> None:
    job = job_submit(kind="evaluate", title="report", payload={"run": run.pk}, owner=None, dataset=run.dataset)
    job = run_inline(job)
    assert job.state == Job.State.FAILED
    assert "no finished model" in job.error
    assert not Evaluation.objects.exists()

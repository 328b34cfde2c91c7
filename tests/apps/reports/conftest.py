"""The runs of the training's tests, and a report of one, written without a network."""

from typing import Any

import numpy as np
import pytest

from apps.datasets.selectors.snapshots import manifest_read
from apps.jobs.context import JobContext
from apps.jobs.models import Job
from apps.jobs.services import job_submit
from apps.reports.extras import measure
from apps.reports.models import Evaluation
from apps.reports.tasks import report_write
from apps.training.models import Run
from tests.apps.training.conftest import dataset, manager, photos, run, snapshot, viewer

__all__ = ["dataset", "manager", "photos", "run", "snapshot", "viewer"]


def report_of(run: Run, *, seed: int = 0) -> Evaluation:
    """A report of embeddings drawn at random, written as the job writes it."""
    job = job_submit(kind="evaluate", title="report", payload={"run": run.pk}, owner=None, dataset=run.dataset)
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, attempt=1)
    context = JobContext(Job.objects.get(pk=job.pk))
    frame = manifest_read(run.snapshot)
    rows = frame[frame["split"] == "validation"].reset_index(drop=True)
    vectors: Any = np.random.default_rng(seed).normal(size=(len(rows), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    report_write(context, run, rows, *measure(vectors, rows))
    Job.objects.filter(pk=job.pk).update(state=Job.State.SUCCEEDED)
    return Evaluation.objects.get(job=job)


@pytest.fixture
def report(run: Run) -> Evaluation:
    run.untrained_metrics = {"cmc@1": 0.05, "map@r": 0.02, "precision@5": 0.03}
    run.save()
    return report_of(run)

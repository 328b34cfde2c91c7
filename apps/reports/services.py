"""Deleting reports."""

from django.db import transaction

from apps.datasets.models import Dataset
from apps.reports.models import Evaluation, QueryResult


@transaction.atomic
def reports_delete(*, dataset: Dataset) -> None:
    """Deletes the reports of a dataset's runs. They have no files."""
    QueryResult.objects.filter(evaluation__run__dataset=dataset).delete()
    Evaluation.objects.filter(run__dataset=dataset).delete()

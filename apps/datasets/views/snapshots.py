"""Snapshots: taking one, looking at it, taking it away as a file."""

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Role
from apps.core.errors import BadInput
from apps.datasets import selectors, services
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.views.access import dataset_or_404, page, user_of


@require_GET
def snapshot_list(request: HttpRequest, pk: int) -> HttpResponse:
    """All snapshots, and what taking one now would leave out or carry along."""
    return _list(request, dataset_or_404(request, pk))


def _list(request: HttpRequest, dataset: Dataset, error: BadInput | None = None) -> HttpResponse:
    context = {
        **page(request, dataset, "snapshots", ("Snapshots", "")),
        "snapshots": selectors.snapshots_list(dataset=dataset),
        "has_samples": selectors.samples_list(dataset=dataset, where=selectors.SampleFilter()).exists(),
        "outlook": selectors.snapshot_outlook(dataset=dataset),
        "error": error,
    }
    return render(request, "datasets/snapshots.html", context, status=error.status if error else 200)


@require_POST
def snapshot_create(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = dataset_or_404(request, pk, Role.MANAGER)
    last = selectors.snapshots_list(dataset=dataset).values_list("number", flat=True).first() or 0
    try:
        snapshot = services.snapshot_create(dataset=dataset, user=user_of(request))
    except BadInput as error:
        return _list(request, dataset, error)
    if snapshot.number > last:
        counts = snapshot.counts
        text = f"Snapshot {snapshot.number} is taken: {counts['samples']:,} samples, {counts['labels']:,} labels."
        messages.success(request, text)
    else:
        messages.info(request, f"The same content was there already: this is snapshot {snapshot.number}.")
    return redirect("datasets:snapshot", pk=snapshot.pk)


@require_GET
def snapshot_detail(request: HttpRequest, pk: int) -> HttpResponse:
    snapshot = _snapshot(request, pk)
    dataset = snapshot.dataset
    snapshots_url = reverse("datasets:snapshots", args=[dataset.pk])
    crumbs = [("Snapshots", snapshots_url), (f"Snapshot {snapshot.number}", "")]
    context = {**page(request, dataset, "snapshots", *crumbs), "snapshot": snapshot}
    return render(request, "datasets/snapshot.html", context)


@require_GET
def snapshot_manifest(request: HttpRequest, pk: int) -> FileResponse:
    """The manifest itself, as parquet."""
    snapshot = _snapshot(request, pk)
    return FileResponse(
        default_storage.open(snapshot.manifest_key),
        as_attachment=True,
        filename=f"{_file_name(snapshot)}.parquet",
        content_type="application/vnd.apache.parquet",
    )


@require_GET
def snapshot_table(request: HttpRequest, pk: int) -> HttpResponse:
    """The table of PRODUCT's format, as CSV, safe to open in a spreadsheet."""
    snapshot = _snapshot(request, pk)
    response = HttpResponse(selectors.snapshot_csv(snapshot), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{_file_name(snapshot)}.csv"'
    return response


def _file_name(snapshot: Snapshot) -> str:
    return f"dataset-{snapshot.dataset_id}-snapshot-{snapshot.number}"


def _snapshot(request: HttpRequest, pk: int) -> Snapshot:
    rows = Snapshot.objects.for_user(user_of(request)).select_related("dataset", "created_by")
    return get_object_or_404(rows, pk=pk)

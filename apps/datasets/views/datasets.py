"""The list of datasets, a new one, the overview of one with what is changed there."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.core.errors import BadInput, Conflict
from apps.datasets import selectors, services
from apps.datasets.forms import DatasetEditForm, DatasetForm
from apps.datasets.models import Dataset
from apps.datasets.views.access import dataset_or_404, page, user_of
from apps.jobs.models import Job

RECENT_JOBS = 5


@require_GET
def dataset_list(request: HttpRequest) -> HttpResponse:
    return render(request, "datasets/list.html", {"cards": selectors.dataset_cards(user=user_of(request))})


@require_http_methods(["GET", "POST"])
def dataset_create(request: HttpRequest) -> HttpResponse:
    form = DatasetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            dataset = services.dataset_create(**form.cleaned_data, user=user_of(request))
        except BadInput as error:
            form.add_error("name", f"{error.detail} {error.remedy}")
        else:
            return redirect("datasets:import_create", pk=dataset.pk)
    context = {"form": form, "breadcrumbs": [("Datasets", reverse("datasets:list")), ("New", "")]}
    return render(request, "datasets/create.html", context, status=422 if form.errors else 200)


@require_GET
def dataset_detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _overview(request, dataset_or_404(request, pk))


@require_POST
def dataset_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Name and description. A change of older ones is answered with 409."""
    dataset = dataset_or_404(request, pk, Role.MANAGER)
    form = DatasetEditForm(request.POST)
    if not form.is_valid():
        return _overview(request, dataset, form, status=422)
    try:
        edited = services.dataset_edit(dataset=dataset, user=user_of(request), **form.cleaned_data)
    except Conflict as error:
        dataset.refresh_from_db()
        # The next try is based on what is shown now.
        form = DatasetEditForm({**form.cleaned_data, "version": services.dataset_version(dataset)})
        form.add_error(None, f"{error.detail} {error.remedy}")
        return _overview(request, dataset, form, status=error.status)
    except BadInput as error:
        form.add_error("name", f"{error.detail} {error.remedy}")
        return _overview(request, dataset, form, status=error.status)
    messages.success(request, f"{edited.name} is changed.")
    return redirect("datasets:detail", pk=pk)


def _overview(
    request: HttpRequest, dataset: Dataset, form: DatasetEditForm | None = None, status: int = 200
) -> HttpResponse:
    """Counts, the next step, work that runs, a few photos; `form` when it was sent and has faults."""
    initial = {
        "name": dataset.name,
        "description": dataset.description,
        "version": services.dataset_version(dataset),
    }
    counts = selectors.dataset_counts(dataset=dataset)
    steps = selectors.dataset_steps(counts=counts)
    context = {
        **page(request, dataset, "overview"),
        "counts": counts,
        "steps": steps,
        "next_step": next((step.name for step in steps if not step.done), ""),
        "jobs": live_jobs(dataset),
        "photos": selectors.dataset_photos(dataset=dataset),
        "removal": selectors.removal_text(counts),
        "places": selectors.dataset_places(dataset=dataset),
        "form": form or DatasetEditForm(initial=initial),
        "is_edited": form is not None,
    }
    return render(request, "datasets/detail.html", context, status=status)


def live_jobs(dataset: Dataset) -> QuerySet[Job]:
    """What runs or waits on a dataset."""
    live = [Job.State.QUEUED, Job.State.RUNNING]
    return Job.objects.filter(dataset=dataset, state__in=live).order_by("-pk")[:RECENT_JOBS]

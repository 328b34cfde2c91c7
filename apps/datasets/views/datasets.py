"""The list of datasets, a new one, the overview of one."""

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.core.errors import BadInput
from apps.datasets import selectors, services
from apps.datasets.forms import DatasetForm
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
    """Counts, the next step, work that runs, a few photos."""
    dataset = dataset_or_404(request, pk)
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
    }
    return render(request, "datasets/detail.html", context)


def live_jobs(dataset: Dataset) -> QuerySet[Job]:
    """What runs or waits on a dataset."""
    live = [Job.State.QUEUED, Job.State.RUNNING]
    return Job.objects.filter(dataset=dataset, state__in=live).order_by("-pk")[:RECENT_JOBS]

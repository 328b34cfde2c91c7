"""The pages of jobs."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from apps.accounts.models import User
from apps.core.errors import Forbidden
from apps.jobs import selectors, services
from apps.jobs.models import Job

PAGE_SIZE = 50


@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """All jobs that one may see, newest first. `?state=` filters, `?before=` pages."""
    state = request.GET.get("state", "")
    state = state if state in Job.State.values else ""
    before = request.GET.get("before", "")
    rows = selectors.jobs_list(user=_user(request), state=state)
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    jobs = list(rows[: PAGE_SIZE + 1])
    has_more = len(jobs) > PAGE_SIZE
    jobs = jobs[:PAGE_SIZE]
    selectors.positions_attach(jobs)
    keep = {"state": state} if state else {}
    context = {
        "jobs": jobs,
        "state": state,
        "states": Job.State.values,
        "next_url": f"?{urlencode(keep | {'before': str(jobs[-1].pk)})}" if has_more else "",
        "previous_url": (f"?{urlencode(keep)}" if keep else reverse("jobs:list")) if before else "",
    }
    return render(request, "jobs/list.html", context)


@require_GET
def job_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One job: its bar, facts, error and the end of its log. htmx gets the part that changes."""
    job = _job(request, pk)
    context = {
        "job": job,
        "job_page": request.path,
        "breadcrumbs": [("Jobs", reverse("jobs:list")), (job.title, "")],
    }
    template = "jobs/_facts.html" if request.headers.get("HX-Request") else "jobs/detail.html"
    return render(request, template, context)


@require_GET
def job_bar(request: HttpRequest, pk: int) -> HttpResponse:
    """The bar, which polls itself. The answer that shows the end carries the `job-done` event and polls no more."""
    job = _job(request, pk)
    response = render(request, "jobs/_bar.html", {"job": job, "job_page": request.GET.get("next", "")})
    if job.is_final:
        trigger_client_event(response, "job-done", {"job": job.pk, "state": job.state})
    return response


@require_POST
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancels; back to `next`, to the job's page, or with the bar."""
    job = _job(request, pk)
    if not selectors.can_cancel(job=job, user=_user(request)):
        raise Forbidden("Only the one who started it or a manager of the dataset may cancel it.")
    job = services.job_cancel(job=job)
    if request.headers.get("HX-Request"):
        return render(request, "jobs/_bar.html", {"job": job})
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        target = reverse("jobs:detail", args=[job.pk])
    return redirect(target)


def _job(request: HttpRequest, pk: int) -> Job:
    job = get_object_or_404(selectors.jobs_list(user=_user(request)), pk=pk)
    selectors.positions_attach([job])
    return job


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user

"""The home page, the two health addresses, a dataset's end, and the pages for what went wrong."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.core.answers import API, error_answer
from apps.core.errors import KindredError
from apps.datasets.models import Dataset
from kindred import health, removal


def home(request: HttpRequest) -> HttpResponse:
    return redirect("datasets:list")


@require_POST
def dataset_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Deletes a dataset and everything made from it. Above the apps: no app knows all that hangs on a dataset."""
    assert isinstance(request.user, User)  # LoginRequiredMiddleware has seen to it
    dataset = get_object_or_404(Dataset.objects.for_user(request.user), pk=pk)
    removal.dataset_remove(dataset=dataset, user=request.user, typed_name=request.POST.get("name", ""))
    messages.success(request, f"{dataset.name} is deleted, with everything made from it.")
    return redirect("datasets:list")


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives. Asks nobody else."""
    return JsonResponse({"status": "ok"})


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Every part is there, or 503 and which is not. Holds nothing that a stranger may not know."""
    answers = health.check()
    ready = not any(answers.values())
    parts = {part: trouble or "ok" for part, trouble in answers.items()}
    return JsonResponse({"status": "ok" if ready else "not ready", "parts": parts}, status=200 if ready else 503)


@login_not_required
def admin_login(request: HttpRequest) -> HttpResponse:
    """The admin signs people in by the site's own page, which is throttled."""
    if request.user.is_authenticated:
        return permission_denied(request)
    target = request.GET.get("next") or reverse("admin:index")
    return HttpResponseRedirect(f"{reverse('accounts:login')}?{urlencode({'next': target})}")


class Problem(KindredError):  # noqa: N818
    """What the error pages show; never raised."""

    def __init__(self, status: int, title: str, detail: str, remedy: str) -> None:
        super().__init__(detail, remedy=remedy)
        self.status, self.title = status, title


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    problem = Problem(
        400, "Bad request", "The request cannot be read, or was not meant for this site.", "Check the address."
    )
    return _answer(request, problem, "400.html")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    problem = Problem(403, "Not allowed", "Your account may not do that.", "Ask an administrator for the right.")
    return _answer(request, problem, "403.html")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    problem = Problem(
        403,
        "The page was out of date",
        "It was loaded before you signed in or out, or this browser sends no cookies.",
        "Reload the page and try again. Nothing was changed.",
    )
    return _answer(request, problem, "403_csrf.html")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    problem = Problem(
        404,
        "Not found",
        "There is nothing at this address, or nothing that you may see.",
        "Check the address, or ask a manager of the dataset to add you.",
    )
    return _answer(request, problem, "404.html")


def server_error(request: HttpRequest) -> HttpResponse:
    problem = Problem(
        500,
        "Something went wrong here",
        "The fault is ours, and it is in the server's log under the request id of this answer.",
        "Try again. If it stays, give the administrator the id.",
    )
    return _answer(request, problem, "500.html")


def _answer(request: HttpRequest, problem: Problem, template: str) -> HttpResponse:
    """As `error_answer`, but the page is one that stands in the templates under its status."""
    if request.path.startswith(API) or request.headers.get("HX-Request"):
        return error_answer(request, problem)
    context = {"request_id": getattr(request, "request_id", "")}
    if problem.status in (400, 500):  # without the request: what asks for the user or the host may be what failed
        return HttpResponse(render_to_string(template, context), status=problem.status)
    return render(request, template, context, status=problem.status)

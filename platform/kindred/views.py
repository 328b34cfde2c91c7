"""The home page, the two health addresses, and the pages for what went wrong."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache

from apps.core.errors import KindredError
from kindred import health


def home(request: HttpRequest) -> HttpResponse:
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


class Problem(KindredError):
    """What the error pages show; never raised."""

    def __init__(self, status: int, title: str, detail: str, remedy: str) -> None:
        super().__init__(detail, remedy=remedy)
        self.status, self.title = status, title


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(
        request, Problem(403, "Not allowed", "Your account may not do that.", "Ask an administrator for the right.")
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(
        request,
        Problem(
            403,
            "The page was out of date",
            "It was loaded before you signed in or out, or this browser sends no cookies.",
            "Reload the page and try again. Nothing was changed.",
        ),
    )


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(
        request,
        Problem(
            404,
            "Not found",
            "There is nothing at this address, or nothing that you may see.",
            "Check the address, or ask a manager of the dataset to add you.",
        ),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(
        request,
        Problem(
            500,
            "Something went wrong here",
            "This is our fault. It is in the log, under the request id that this answer bears.",
            "Try again; if it stays, give the administrator the id.",
        ),
    )


def _answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """As a page, as a notice where htmx asked, or as a problem document under /api/."""
    if request.path.startswith("/api/"):
        body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
        return JsonResponse(body, status=problem.status, content_type="application/problem+json")
    if request.headers.get("HX-Request"):
        return render(request, "core/_error.html", {"error": problem}, status=problem.status)
    context = {"error": problem, "request_id": getattr(request, "request_id", "")}
    if problem.status == 500:  # without the request: what asks for the user may be what failed
        return HttpResponse(render_to_string("500.html", context), status=500)
    return render(request, f"{problem.status}.html", context, status=problem.status)

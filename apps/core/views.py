"""The style guide: every component, with data as real as it gets without a database."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.core import styleguide as examples
from apps.core.errors import BadInput


def styleguide(request: HttpRequest) -> HttpResponse:
    return render(request, "core/styleguide.html", examples.context())


def styleguide_points(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"series": examples.curves()})


def styleguide_problem(request: HttpRequest) -> HttpResponse:
    """Fails, to show how a failure looks as a page and as a notice."""
    raise BadInput(
        "The validation split has 12 queries whose label is not in the gallery.",
        remedy="Mark at least one more sample of each of these labels as gallery, or move them to train.",
        extra={"problems": examples.PROBLEMS[:2]},
    )

"""The labels and categories of a dataset."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Role
from apps.core.errors import BadInput, Forbidden, KindredError
from apps.datasets import selectors, services
from apps.datasets.forms import LabelForm, NewLabelForm
from apps.datasets.models import Dataset, Label
from apps.datasets.selectors.pages import key_parse
from apps.datasets.views.access import dataset_or_404, page, user_of


@require_GET
def label_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Labels by name, with their figures and exemplars; the categories beside them."""
    return _list(request, dataset_or_404(request, pk), request.get_full_path())


@require_POST
def label_create(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = dataset_or_404(request, pk, Role.ANNOTATOR)
    form = NewLabelForm(request.POST)
    try:
        if not form.is_valid():
            raise BadInput("A label needs a name of 1 to 200 characters.", remedy="Type its name.")
        label = services.label_create(dataset=dataset, user=user_of(request), **form.cleaned_data)
    except BadInput as error:
        return _list(request, dataset, _back(request, dataset), error=error)
    messages.success(request, f"{label.name} is there.")
    return redirect("datasets:labels", pk=pk)


@require_POST
def label_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Renames a label or moves it into another category. A change of an older version is answered with 409."""
    label = _label(request, pk)
    form = LabelForm(request.POST)
    try:
        if not form.is_valid():
            raise BadInput("A label needs a name of 1 to 200 characters.", remedy="Type its name.")
        edited = services.label_edit(label=label, user=user_of(request), **form.cleaned_data)
    except Forbidden:
        raise
    except KindredError as error:
        return _list(request, label.dataset, _back(request, label.dataset), error=error, edited=label)
    messages.success(request, f"{edited.name} is changed.")
    return redirect(_back(request, label.dataset))


@require_POST
def label_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Deletes a label that has no samples."""
    label = _label(request, pk)
    try:
        version = key_parse(request.POST.get("version", ""))
        if version is None:
            raise BadInput("Which version of the label was seen was not sent.", remedy="Reload the page and try again.")
        services.label_delete(label=label, version=version, user=user_of(request))
    except Forbidden:
        raise
    except KindredError as error:
        return _list(request, label.dataset, _back(request, label.dataset), error=error, edited=label)
    messages.success(request, f"{label.name} is deleted.")
    return redirect(_back(request, label.dataset))


def _label(request: HttpRequest, pk: int) -> Label:
    mine = Dataset.objects.for_user(user_of(request)).values("pk")
    return get_object_or_404(Label.objects.filter(dataset__in=mine).select_related("dataset"), pk=pk)


def _back(request: HttpRequest, dataset: Dataset) -> str:
    """The list as it was seen, from the form."""
    back = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return back
    return reverse("datasets:labels", args=[dataset.pk])


def _list(
    request: HttpRequest,
    dataset: Dataset,
    here: str,
    *,
    error: KindredError | None = None,
    edited: Label | None = None,
) -> HttpResponse:
    """The list at the address `here`. With an error, the dialog that was sent is open again."""
    asked = QueryDict(urlsplit(here).query)
    q = asked.get("q", "").strip().replace("\0", "")[:200]
    category = key_parse(asked.get("category", ""))
    after = asked.get("after", "").replace("\0", "")[:200]
    found = selectors.labels_page(dataset=dataset, q=q, category=category, after=after)
    keep = {name: value for name, value in (("q", q), ("category", category)) if value not in ("", None)}
    root = reverse("datasets:labels", args=[dataset.pk])
    context: dict[str, Any] = {
        **page(request, dataset, "labels", ("Labels", "")),
        "labels": found.rows,
        "total": found.total,
        "q": q,
        "category": category,
        "categories": selectors.categories_list(dataset=dataset),
        "next_url": f"{root}?{urlencode({**keep, 'after': found.after})}" if found.after else "",
        "previous_url": f"{root}?{urlencode(keep)}" if after else "",
        "position_text": f"{len(found.rows):,} of {found.total:,} labels",
        "here": here,
        "error": error,
        "edited": edited.pk if edited and any(row.label.pk == edited.pk for row in found.rows) else None,
        "is_new": error is not None and edited is None,
        "sent": {name: request.POST.get(name, "")[:200] for name in ("name", "category")},
    }
    return render(request, "datasets/labels.html", context, status=error.status if error else 200)

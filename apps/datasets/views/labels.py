"""The labels and categories of a dataset."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import Role
from apps.core.errors import BadInput
from apps.datasets import selectors, services
from apps.datasets.forms import LabelForm, NewLabelForm
from apps.datasets.models import Dataset, Label
from apps.datasets.selectors.pages import key_parse
from apps.datasets.views.access import dataset_or_404, page, user_of


@require_GET
def label_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Labels by name, with their figures and exemplars; the categories beside them."""
    dataset = dataset_or_404(request, pk)
    q = request.GET.get("q", "").strip().replace("\0", "")[:200]
    category = key_parse(request.GET.get("category", ""))
    after = request.GET.get("after", "").replace("\0", "")[:200]
    found = selectors.labels_page(dataset=dataset, q=q, category=category, after=after)
    keep = {name: value for name, value in (("q", q), ("category", category)) if value not in ("", None)}
    context = {
        **page(request, dataset, "labels", ("Labels", "")),
        "labels": found.rows,
        "total": found.total,
        "q": q,
        "category": category,
        "categories": selectors.categories_list(dataset=dataset),
        "next_url": f"?{urlencode({**keep, 'after': found.after})}" if found.after else "",
        "previous_url": f"?{urlencode(keep)}" if after else "",
        "position_text": f"{len(found.rows):,} of {found.total:,} labels",
        "here": request.get_full_path(),
    }
    return render(request, "datasets/labels.html", context)


@require_POST
def label_create(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = dataset_or_404(request, pk, Role.ANNOTATOR)
    form = NewLabelForm(request.POST)
    if not form.is_valid():
        raise BadInput("A label needs a name of 1 to 200 characters.", remedy="Type its name.")
    label = services.label_create(dataset=dataset, user=user_of(request), **form.cleaned_data)
    messages.success(request, f"{label.name} is there.")
    return redirect("datasets:labels", pk=pk)


@require_POST
def label_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Renames a label or moves it into another category. A change of an older version is answered with 409."""
    mine = Dataset.objects.for_user(user_of(request)).values("pk")
    label = get_object_or_404(Label.objects.filter(dataset__in=mine).select_related("dataset"), pk=pk)
    form = LabelForm(request.POST)
    if not form.is_valid():
        raise BadInput("A label needs a name of 1 to 200 characters.", remedy="Type its name.")
    edited = services.label_edit(label=label, user=user_of(request), **form.cleaned_data)
    messages.success(request, f"{edited.name} is changed.")
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        back = reverse("datasets:labels", args=[label.dataset_id])
    return redirect(back)

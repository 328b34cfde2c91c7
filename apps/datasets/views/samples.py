"""The grid of samples, what is done with a selection, and the page of one sample."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.core.errors import BadInput, Conflict, KindredError
from apps.datasets import selectors, services
from apps.datasets.forms import ChosenForm, SampleForm, SelectionForm
from apps.datasets.models import Category, Dataset, Label, Sample
from apps.datasets.selectors import SampleFilter
from apps.datasets.selectors.labels import labels_list
from apps.datasets.selectors.pages import key_parse
from apps.datasets.views.access import dataset_or_404, page, user_of

DATALIST_NAMES = 2000
LABELS_NAMED = 5
BROWSER_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP")


@require_GET
def sample_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The grid. The filter and the page stand in the address."""
    dataset = dataset_or_404(request, pk)
    where = selectors.sample_filter_parse(request.GET.dict())
    after, before = key_parse(request.GET.get("after", "")), key_parse(request.GET.get("before", ""))
    return _grid(request, dataset, where, after=after, before=before)


def _grid(
    request: HttpRequest,
    dataset: Dataset,
    where: SampleFilter,
    *,
    after: int | None,
    before: int | None = None,
    error: KindredError | None = None,
) -> HttpResponse:
    """One page of the grid. With an error, what was sent stands in the selection bar, and the selection stays."""
    found = selectors.samples_page(dataset=dataset, where=where, after=after, before=before)
    total = selectors.samples_list(dataset=dataset, where=where).count()
    if total and not found.rows and after is not None:  # those behind the key are gone: the last page
        found = selectors.samples_page(dataset=dataset, where=where, before=after + 1)
    base = where.as_query()
    root = "" if request.method == "GET" else reverse("datasets:samples", args=[dataset.pk])
    context = {
        **page(request, dataset, "samples", ("Samples", "")),
        "where": where,
        "filter": base,
        "samples": found.rows,
        "total": total,
        "label": Label.objects.filter(dataset=dataset, pk=where.label).first() if where.label else None,
        "categories": Category.objects.filter(dataset=dataset).order_by("name"),
        "label_names": label_names(dataset),
        "after": after or "",
        "previous_url": page_url(base, "before", found.previous, root),
        "next_url": page_url(base, "after", found.following, root),
        "position_text": f"{len(found.rows):,} of {total:,} samples",
        "error": error,
        "sent": {name: request.POST.get(name, "")[:200] for name in ("label", "split", "flags", "all_matching")},
        "chosen": {key for text in request.POST.getlist("sample") if (key := key_parse(text)) is not None},
    }
    return render(request, "datasets/samples.html", context, status=error.status if error else 200)


def page_url(base: str, name: str, key: int | None, root: str = "") -> str:
    """The address of the page around a key, from the root of the list; "" where there is none."""
    if key is None:
        return ""
    return f"{root}?{base}&{name}={key}" if base else f"{root}?{name}={key}"


def label_names(dataset: Dataset) -> list[str]:
    """The names that the label field offers while one types."""
    return list(labels_list(dataset=dataset).values_list("name", flat=True)[:DATALIST_NAMES])


@require_POST
def samples_update(request: HttpRequest, pk: int) -> HttpResponse:
    """Sets label, split or flags of the selected samples, or of all that the filter matches."""
    dataset = dataset_or_404(request, pk, Role.ANNOTATOR)
    form = SelectionForm(request.POST)
    try:
        changes = form.changes() if form.is_valid() else {}
        if form.is_valid() and not changes:
            raise BadInput("Nothing to change was given.", remedy="Type a label, or choose a split or flags.")
        chosen, expected = _chosen(request, dataset, form)
        touched = selectors.samples_label_ids(dataset=dataset, chosen=chosen) if "split" in changes else []
        count = services.samples_update(
            dataset=dataset, user=user_of(request), sample_ids=chosen, expected_count=expected, **changes
        )
    except KindredError as error:
        return _grid_again(request, dataset, error)
    words = ", ".join(_words(name, value) for name, value in changes.items())
    messages.success(request, f"{count:,} sample{'' if count == 1 else 's'}: {words}.")
    if "label" in changes:
        name = changes["label"].strip()
        touched = list(Label.objects.filter(dataset=dataset, name=name).values_list("pk", flat=True))
    _warn_of_both_splits(request, dataset, touched)
    return redirect(_grid_url(dataset, form))


@require_POST
def samples_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Deletes the selected samples, or all that the filter matches."""
    dataset = dataset_or_404(request, pk, Role.MANAGER)
    form = ChosenForm(request.POST)
    try:
        chosen, expected = _chosen(request, dataset, form)
        count = services.samples_delete(
            dataset=dataset, user=user_of(request), sample_ids=chosen, expected_count=expected
        )
    except KindredError as error:
        return _grid_again(request, dataset, error)
    messages.success(request, f"{count:,} sample{' is' if count == 1 else 's are'} deleted.")
    return redirect(_grid_url(dataset, form))


def _chosen(request: HttpRequest, dataset: Dataset, form: ChosenForm) -> tuple[list[int] | SampleFilter, int | None]:
    """The samples that a form means, and for a filter how many of them were seen. Raises BadInput, Http404."""
    if not form.is_valid():
        raise BadInput("The change was not understood.", remedy="Reload the page and try again.")
    values = form.cleaned_data
    if not values["all_matching"]:
        return _ids(dataset, request.POST.getlist("sample")), None
    if values["expected"] is None:
        raise BadInput("How many samples were seen was not sent.", remedy="Reload the page and try again.")
    return selectors.sample_filter_parse(QueryDict(values["filter"]).dict()), values["expected"]


def _grid_again(request: HttpRequest, dataset: Dataset, error: KindredError) -> HttpResponse:
    """The page that the form was sent from, with what was wrong."""
    try:
        where = selectors.sample_filter_parse(QueryDict(request.POST.get("filter", "")).dict())
    except BadInput:
        where = SampleFilter()
    return _grid(request, dataset, where, after=key_parse(request.POST.get("after", "")), error=error)


def _grid_url(dataset: Dataset, form: ChosenForm) -> str:
    """The page that the form was sent from."""
    back = QueryDict(form.cleaned_data["filter"], mutable=True)
    if key_parse(form.cleaned_data["after"]) is not None:
        back["after"] = form.cleaned_data["after"]
    return "?".join(filter(None, (reverse("datasets:samples", args=[dataset.pk]), back.urlencode())))


def _warn_of_both_splits(request: HttpRequest, dataset: Dataset, label_ids: list[int]) -> None:
    """Says which of these labels lie in both splits, and leads to their samples."""
    if not label_ids:
        return
    rows = selectors.labels_in_both_splits(dataset=dataset, label_ids=label_ids)
    labels = list(rows[: LABELS_NAMED + 1])
    root = reverse("datasets:samples", args=[dataset.pk])
    if len(labels) == 1:
        text = (
            '{} is now in both splits, which stops a training: <a href="{}?label={}">move its samples to one split</a>.'
        )
        messages.warning(request, format_html(text, labels[0].name, root, labels[0].pk))
    elif labels:
        links = ((root, label.pk, label.name) for label in labels[:LABELS_NAMED])
        text = (
            "Some labels are now in both splits, which stops a training. Move the samples of each to one split: {}{}."
        )
        more = " and others" if len(labels) > LABELS_NAMED else ""
        messages.warning(
            request, format_html(text, format_html_join(", ", '<a href="{}?label={}">{}</a>', links), more)
        )


def _words(name: str, value: str | bool) -> str:
    if isinstance(value, bool):
        return f"{name.removeprefix('is_')} {'on' if value else 'off'}"
    return f"{name} set to {value}"


def _ids(dataset: Dataset, texts: list[str]) -> list[int]:
    """The selected ids; those that were deleted since are the service's business. 404 when one is another dataset's."""
    ids = {key for text in texts if (key := key_parse(text)) is not None}
    if not ids:
        raise BadInput("No sample is selected.", remedy="Select some photos first.")
    if len(ids) != len(set(texts)) or Sample.objects.filter(pk__in=ids).exclude(dataset=dataset).exists():
        raise Http404
    return sorted(ids)


@require_http_methods(["GET", "POST"])
def sample_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One sample: its photo, its facts, and the form that changes it."""
    rows = Sample.objects.for_user(user_of(request)).select_related("dataset", "image", "label", "category")
    sample = get_object_or_404(rows, pk=pk)
    initial = _initial(sample)
    form = SampleForm(request.POST or None, initial=initial)
    error: KindredError | None = None
    if request.method == "POST":
        selectors.role_require(user=user_of(request), dataset=sample.dataset, role=Role.ANNOTATOR)
        if form.is_valid():
            try:
                _sample_save(request, sample, form, initial)
            except KindredError as caught:
                error = caught
            else:
                return redirect("datasets:sample", pk=pk)
    if isinstance(error, Conflict):  # the next try is based on what is shown now
        sample = get_object_or_404(rows.all(), pk=pk)
        form = SampleForm({**request.POST.dict(), "version": str(sample.version)}, initial=_initial(sample))
    samples_url = reverse("datasets:samples", args=[sample.dataset_id])
    box = sample.box
    context = {
        **page(request, sample.dataset, "samples", ("Samples", samples_url), (f"Sample {pk}", "")),
        "sample": sample,
        "box_width": box[2] - box[0] if box else None,
        "box_height": box[3] - box[1] if box else None,
        "browser_shows": sample.image.format in BROWSER_FORMATS,
        "form": form,
        "error": error,
        "label_names": label_names(sample.dataset),
        "same_label": selectors.samples_alike(sample=sample),
        "same_label_url": f"{samples_url}?{urlencode({'label': sample.label_id})}" if sample.label_id else "",
    }
    status = error.status if error else 422 if form.errors else 200
    return render(request, "datasets/sample.html", context, status=status)


def _initial(sample: Sample) -> dict[str, Any]:
    return {
        "version": sample.version,
        "label": sample.label.name if sample.label else "",
        "split": sample.split,
        "is_query": sample.is_query,
        "is_gallery": sample.is_gallery,
    }


def _sample_save(request: HttpRequest, sample: Sample, form: SampleForm, initial: dict[str, Any]) -> None:
    """Writes what was changed, if anything was. Raises Conflict, BadInput."""
    changes = form.changes(initial)
    version = form.cleaned_data["version"]
    if not changes and version == sample.version:
        return
    edited = services.sample_edit(
        sample=sample, user=user_of(request), version=version, **(changes or {"label": initial["label"]})
    )
    messages.success(request, "The sample is changed.")
    if edited.label_id is not None and changes.keys() & {"label", "split"}:
        _warn_of_both_splits(request, sample.dataset, [edited.label_id])

"""The grid of samples, what is done with a selection, and the page of one sample."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role
from apps.core.errors import BadInput
from apps.datasets import selectors, services
from apps.datasets.forms import SampleForm, SelectionForm
from apps.datasets.models import Category, Dataset, Label, Sample
from apps.datasets.selectors import SampleFilter
from apps.datasets.selectors.labels import labels_list
from apps.datasets.selectors.pages import key_parse
from apps.datasets.views.access import dataset_or_404, page, user_of

DATALIST_NAMES = 2000
BROWSER_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP")


@require_GET
def sample_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The grid. The filter and the page stand in the address."""
    dataset = dataset_or_404(request, pk)
    where = selectors.sample_filter_parse(request.GET.dict())
    after, before = key_parse(request.GET.get("after", "")), key_parse(request.GET.get("before", ""))
    found = selectors.samples_page(dataset=dataset, where=where, after=after, before=before)
    total = selectors.samples_list(dataset=dataset, where=where).count()
    base = where.as_query()
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
        "previous_url": page_url(base, "before", found.previous),
        "next_url": page_url(base, "after", found.following),
        "position_text": f"{len(found.rows):,} of {total:,} samples",
    }
    return render(request, "datasets/samples.html", context)


def page_url(base: str, name: str, key: int | None) -> str:
    """The address of the page around a key; "" where there is none."""
    if key is None:
        return ""
    return f"?{base}&{name}={key}" if base else f"?{name}={key}"


def label_names(dataset: Dataset) -> list[str]:
    """The names that the label field offers while one types."""
    return list(labels_list(dataset=dataset).values_list("name", flat=True)[:DATALIST_NAMES])


@require_POST
def samples_update(request: HttpRequest, pk: int) -> HttpResponse:
    """Sets label, split or flags of the selected samples, or of all that the filter matches."""
    dataset = dataset_or_404(request, pk, Role.ANNOTATOR)
    form = SelectionForm(request.POST)
    if not form.is_valid():
        raise BadInput("The change was not understood.", remedy="Reload the page and try again.")
    values = form.cleaned_data
    changes = form.changes()
    if not changes:
        raise BadInput("Nothing to change was given.", remedy="Type a label, or choose a split or flags.")
    chosen: list[int] | SampleFilter
    if values["all_matching"]:
        chosen = selectors.sample_filter_parse(QueryDict(values["filter"]).dict())
        if values["expected"] is None:
            raise BadInput("How many samples were seen was not sent.", remedy="Reload the page and try again.")
    else:
        chosen = _ids(dataset, request.POST.getlist("sample"))
    count = services.samples_update(
        dataset=dataset,
        user=user_of(request),
        sample_ids=chosen,
        expected_count=values["expected"] if values["all_matching"] else None,
        **changes,
    )
    words = ", ".join(_words(name, value) for name, value in changes.items())
    messages.success(request, f"{count:,} sample{'' if count == 1 else 's'}: {words}.")
    back = QueryDict(values["filter"], mutable=True)
    if key_parse(values["after"]) is not None:
        back["after"] = values["after"]
    return redirect("?".join(filter(None, (reverse("datasets:samples", args=[pk]), back.urlencode()))))


def _words(name: str, value: str | bool) -> str:
    if isinstance(value, bool):
        return f"{name.removeprefix('is_')} {'on' if value else 'off'}"
    return f"{name} set to {value}"


def _ids(dataset: Dataset, texts: list[str]) -> list[int]:
    """The selected ids. 404 when one of them is not this dataset's."""
    ids = {key for text in texts if (key := key_parse(text)) is not None}
    if not ids:
        raise BadInput("No sample is selected.", remedy="Select some photos first.")
    if len(ids) != len(set(texts)) or Sample.objects.filter(dataset=dataset, pk__in=ids).count() != len(ids):
        raise Http404
    return sorted(ids)


@require_http_methods(["GET", "POST"])
def sample_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One sample: its photo, its facts, and the form that changes it."""
    rows = Sample.objects.for_user(user_of(request)).select_related("dataset", "image", "label", "category")
    sample = get_object_or_404(rows, pk=pk)
    initial = {
        "version": sample.version,
        "label": sample.label.name if sample.label else "",
        "split": sample.split,
        "is_query": sample.is_query,
        "is_gallery": sample.is_gallery,
    }
    form = SampleForm(request.POST or None, initial=initial)
    if request.method == "POST":
        selectors.role_require(user=user_of(request), dataset=sample.dataset, role=Role.ANNOTATOR)
        if form.is_valid():
            changes = form.changes(initial)
            if changes or form.cleaned_data["version"] != sample.version:
                # A split cannot be taken away again: `samples_update` says so.
                services.sample_edit(
                    sample=sample,
                    user=user_of(request),
                    version=form.cleaned_data["version"],
                    **(changes or {"label": initial["label"]}),
                )
                messages.success(request, "The sample is changed.")
            return redirect("datasets:sample", pk=pk)
    samples_url = reverse("datasets:samples", args=[sample.dataset_id])
    box = sample.box
    context = {
        **page(request, sample.dataset, "samples", ("Samples", samples_url), (f"Sample {pk}", "")),
        "sample": sample,
        "box_width": box[2] - box[0] if box else None,
        "box_height": box[3] - box[1] if box else None,
        "browser_shows": sample.image.format in BROWSER_FORMATS,
        "form": form,
        "label_names": label_names(sample.dataset),
        "same_label": selectors.samples_alike(sample=sample),
        "same_label_url": f"{samples_url}?{urlencode({'label': sample.label_id})}" if sample.label_id else "",
    }
    return render(request, "datasets/sample.html", context, status=422 if form.errors else 200)

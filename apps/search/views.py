"""The search page: a photo or a sample in, its nearest samples out."""

from typing import Any

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.core.errors import BadInput, KindredError
from apps.datasets.models import Dataset, Sample, Snapshot
from apps.datasets.selectors.datasets import dataset_photos, datasets_list
from apps.datasets.selectors.members import managers_named
from apps.search import client, selectors, services
from apps.search.forms import KS, SearchForm, search_parse
from apps.search.models import Index
from apps.zoo.models import ModelVersion
from apps.zoo.selectors import can_manage, champion_of, champions_of, index_job_of


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Chooses the dataset to search in; with only one, goes there."""
    datasets = list(datasets_list(user=_user(request)))
    if len(datasets) == 1:
        return redirect("search:page", pk=datasets[0].pk)
    champions = champions_of(dataset.pk for dataset in datasets)
    rows = [(dataset, champions.get(dataset.pk)) for dataset in datasets]
    return render(request, "search/home.html", {"rows": rows})


@require_GET
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """The page. `?sample=` searches by a sample at once; its filters are in the address."""
    dataset = _dataset(request, pk)
    context = _page_context(request, dataset)
    status = 200
    if "sample" not in request.GET and context["index"] is not None:
        context["starters"] = dataset_photos(dataset=dataset)
    elif context["index"] is not None:
        try:
            values = search_parse(SearchForm(request.GET))
            context |= {"sample": _sample(dataset, values["sample"]), "values": values}
            context |= _results(dataset, context["version"], context["index"], values)
        except KindredError as error:  # the page around it still helps
            context["error"], status = error, error.status
    return render(request, "search/page.html", context, status=status)


@require_POST
def query(request: HttpRequest, pk: int) -> HttpResponse:
    """The results of a photo: the fragment for htmx and <paste-image>, else the whole page."""
    dataset = _dataset(request, pk)
    values = search_parse(SearchForm(request.POST, request.FILES))
    is_fragment = bool(request.headers.get("HX-Request"))
    if values["image"] is None and values["sample"] is None:
        if is_fragment:  # a filter changed before there was a photo
            return HttpResponse(status=204)
        raise BadInput("There is no photo to search with.", remedy="Drop, paste or choose one.")
    context = _page_context(request, dataset)
    if context["index"] is None:
        raise BadInput(
            f"{dataset} cannot be searched yet.", remedy="Train a model, publish it, and wait for its search index."
        )
    context |= {"values": values} | _results(dataset, context["version"], context["index"], values)
    return render(request, "search/_results.html" if is_fragment else "search/page.html", context)


@require_POST
def index_build(request: HttpRequest, pk: int) -> HttpResponse:
    """Queues a version's index, of `snapshot` if given; back to `next` or the version's page."""
    user = _user(request)
    version = get_object_or_404(ModelVersion.objects.for_user(user).select_related("model__dataset"), pk=pk)
    snapshot = None
    asked = request.POST.get("snapshot", "")
    if asked:
        if not (asked.isascii() and asked.isdigit() and len(asked) < 19):
            raise BadInput(f"{asked!r} is no snapshot.", remedy="Choose one from the list.")
        snapshot = get_object_or_404(Snapshot.objects.for_user(user), pk=int(asked))
    services.index_submit(version=version, user=user, snapshot=snapshot)
    messages.success(request, f"The index of {version} is being built.")
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("zoo:version", args=[version.pk])
    return redirect(target)


def _page_context(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """What the page shows before any query: what it would search with, or what is missing."""
    version = champion_of(dataset)
    index = selectors.active_index(version) if version is not None else None
    job = index_job_of(version) if version is not None and index is None else None
    manages = index is not None or can_manage(user=_user(request), dataset=dataset)  # asked only where it is offered
    return {
        "dataset": dataset,
        "tab": "search",
        "version": version,
        "index": index,
        "index_job": job,
        "may_build": manages,
        "whom": "" if manages else _whom(dataset),
        "categories": selectors.categories_of(dataset) if index is not None else [],
        "ks": KS,
        "train_url": f"{reverse('training:new')}?dataset={dataset.pk}",
        "values": {"k": KS[0], "category": "", "group": False},
        "breadcrumbs": [("Search", reverse("search:home")), (dataset.name, "")],
    }


def _whom(dataset: Dataset) -> str:
    names = managers_named(dataset=dataset)
    return f" Ask one: {names}." if names else " Ask an administrator of this site."


def _results(dataset: Dataset, version: ModelVersion, index: Index, values: dict[str, Any]) -> dict[str, Any]:
    """The neighbours of the values' photo or sample. Raises KindredError."""
    sample: Sample | None = None
    if values["image"] is not None:
        photo, box = values["image"].read(), values["box"]
    else:
        sample = _sample(dataset, values["sample"])
        photo, box = _photo(sample), sample.box
    hits = client.search(
        photo,
        version=version,
        k=values["k"],
        category=values["category"] or None,
        box=box,
        exclude=[sample.pk] if sample is not None else [],
    )
    label_id = sample.label_id if sample is not None else None
    neighbours, deleted = selectors.neighbours_of(dataset=dataset, hits=hits, label_id=label_id)
    return {
        "has_results": True,
        "neighbours": neighbours,
        "groups": selectors.grouped(neighbours) if values["group"] else None,
        "deleted": deleted,
        "searched": index.embedding_set.count,
    }


def _photo(sample: Sample) -> bytes:
    try:
        with default_storage.open(sample.image.key) as file:
            data: bytes = file.read()
    except FileNotFoundError:
        remedy = "Restore the file from a backup, or import the photo again."
        raise BadInput(f"The photo of sample {sample.pk} is not in the storage.", remedy=remedy) from None
    return data


def _sample(dataset: Dataset, pk: int | None) -> Sample:
    return get_object_or_404(selectors.samples_with_labels(dataset), pk=pk)


def _dataset(request: HttpRequest, pk: int) -> Dataset:
    return get_object_or_404(Dataset.objects.for_user(_user(request)), pk=pk)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user

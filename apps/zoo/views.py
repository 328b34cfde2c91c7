"""The pages of the zoo."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.core.errors import BadInput
from apps.datasets.models import Dataset
from apps.jobs.selectors import positions_attach
from apps.zoo import selectors, services
from apps.zoo.forms import AliasForm, NotesForm
from apps.zoo.models import Model, ModelVersion


@require_GET
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model that one may see. `?dataset=` keeps those of one dataset."""
    user = _user(request)
    asked = request.GET.get("dataset", "")
    dataset: Dataset | None = None
    if asked.isascii() and asked.isdigit() and len(asked) < 19:
        dataset = get_object_or_404(Dataset.objects.for_user(user), pk=int(asked))
    cards = selectors.model_cards(user=user, dataset_id=None if dataset is None else dataset.pk)
    context = {"cards": cards, "of_dataset": dataset, "headline": selectors.HEADLINE}
    return render(request, "zoo/list.html", context)


@require_GET
def model_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A model: its versions, its aliases and how they moved."""
    user = _user(request)
    model = get_object_or_404(Model.objects.for_user(user).select_related("dataset"), pk=pk)
    context = {
        "model": model,
        "versions": selectors.versions_of(model),
        "aliases": selectors.aliases_of(model),
        "moves": selectors.alias_moves_of(model),
        "can_manage": selectors.can_manage(user=user, dataset=model.dataset),
        "headline": selectors.HEADLINE,
        "breadcrumbs": [("Models", reverse("zoo:list")), (model.name, "")],
    }
    return render(request, "zoo/model.html", context)


@require_GET
def version_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The card of a version."""
    version = _version(request, pk)
    model = version.model
    run = selectors.run_of(version)
    job = selectors.index_job_of(version)
    if job is not None:
        positions_attach([job])
    index = version.indexes.filter(is_active=True).select_related("embedding_set__snapshot").first()
    newest = selectors.newest_snapshot(model.dataset)
    aliases = [alias.name for alias in version.aliases.order_by("name")]
    context = {
        "version": version,
        "model": model,
        "run": run,
        "report": run.evaluations.order_by("-pk").first() if run is not None else None,
        "aliases": aliases,
        "metrics": selectors.metric_rows(version.metrics, run.untrained_metrics if run is not None else {}),
        "headline": selectors.HEADLINE,
        "queries_text": selectors.counts_of(version).words,
        "config": selectors.config_rows(version.config),
        "index": index,
        "index_job": job if job is not None and (not job.is_final or job.state != "succeeded") else None,
        "newest_snapshot": newest if newest is not None and newest.pk != version.snapshot_id else None,
        "can_manage": selectors.can_manage(user=_user(request), dataset=model.dataset),
        "alias_form": AliasForm(),
        "notes_form": NotesForm(initial={"notes": version.notes}),
        "curls": _curls(version, "champion" in aliases),
        "breadcrumbs": [
            ("Models", reverse("zoo:list")),
            (model.name, reverse("zoo:model", args=[model.pk])),
            (f"v{version.number}", ""),
        ],
    }
    return render(request, "zoo/version.html", context)


@require_POST
def version_publish(request: HttpRequest, pk: int) -> HttpResponse:
    version = services.version_publish(version=_version(request, pk), user=_user(request))
    messages.success(request, f"{version} is published.")
    return _back(version)


@require_POST
def version_retire(request: HttpRequest, pk: int) -> HttpResponse:
    version = services.version_retire(version=_version(request, pk), user=_user(request))
    messages.success(request, f"{version} is retired. Its files stay, and it can be published again.")
    return _back(version)


@require_POST
def version_notes(request: HttpRequest, pk: int) -> HttpResponse:
    version = _version(request, pk)
    form = NotesForm(request.POST)
    if not form.is_valid():
        raise BadInput(_first_error(form), remedy="Shorten them.")
    services.version_notes_set(version=version, notes=form.cleaned_data["notes"], user=_user(request))
    messages.success(request, "The notes are kept.")
    return _back(version)


@require_POST
def alias_set(request: HttpRequest, pk: int) -> HttpResponse:
    version = _version(request, pk)
    form = AliasForm(request.POST)
    if not form.is_valid():
        raise BadInput(_first_error(form), remedy="Use letters, digits, - and _.")
    alias = services.alias_set(
        model=version.model, name=form.cleaned_data["name"], version=version, user=_user(request)
    )
    messages.success(request, f"{alias.name} points to {version}.")
    return _back(version)


@require_POST
def alias_remove(request: HttpRequest, pk: int) -> HttpResponse:
    user = _user(request)
    model = get_object_or_404(Model.objects.for_user(user), pk=pk)
    name = request.POST.get("name", "")
    services.alias_remove(model=model, name=name, user=user)
    messages.success(request, f"The alias {name} is removed.")
    return redirect("zoo:model", pk=model.pk)


def _version(request: HttpRequest, pk: int) -> ModelVersion:
    versions = ModelVersion.objects.for_user(_user(request))
    return get_object_or_404(versions.select_related("model__dataset", "snapshot", "created_by", "run__job"), pk=pk)


def _curls(version: ModelVersion, is_champion: bool) -> list[tuple[str, str]]:
    """How a program asks this version: (what it does, the command)."""
    name = version.model.name if is_champion else f"{version.model.name}:{version.number}"
    quoted = name.replace("'", "'\\''")
    start = "curl {url} \\\n  -H 'Authorization: Bearer YOUR_TOKEN' \\\n  -F 'model={name}' -F image=@photo.jpg"
    embeddings = start.format(url=settings.SITE_URL + reverse("api:embeddings"), name=quoted)
    search = start.format(url=settings.SITE_URL + reverse("api:search"), name=quoted) + " -F k=10"
    return [("Embed a photo", embeddings), ("Search with a photo", search)]


def _first_error(form: Any) -> str:
    return next(str(error) for errors in form.errors.values() for error in errors)


def _back(version: ModelVersion) -> HttpResponse:
    return redirect("zoo:version", pk=version.pk)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user

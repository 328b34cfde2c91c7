"""The pages of runs."""

from typing import Any

import pandas as pd
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Role, User
from apps.core.errors import BadInput
from apps.core.metrics import query_counts
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.selectors.datasets import role_require
from apps.datasets.selectors.snapshots import manifest_read, snapshot_frame
from apps.datasets.services import snapshot_create
from apps.jobs.models import Job
from apps.jobs.selectors import positions_attach
from apps.training import recipes, selectors, services
from apps.training.forms import NOW, PublishForm, RunForm
from apps.training.models import Run
from apps.zoo.selectors import model_name_for
from mlcore.config import PRESETS, Recipe
from mlcore.table import Note, recipe_fit, train_facts

PAGE_SIZE = 50
DEFAULT_PRESET = "standard"
LOG_LINES = 14


@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    """All runs that one may see, newest first. `?dataset=` filters, `?before=` pages."""
    user = _user(request)
    dataset = _dataset_asked(request)
    rows = selectors.run_list(user=user, dataset_id=dataset.pk if dataset else None)
    before = _number(request.GET.get("before", ""))
    runs = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_SIZE + 1])
    has_more, runs = len(runs) > PAGE_SIZE, runs[:PAGE_SIZE]
    positions_attach([run.job for run in runs])
    keep = {"dataset": dataset.pk} if dataset else {}
    may_train = user.is_superuser or (dataset.pk in user.managed_dataset_ids if dataset else user.managed_dataset_ids)
    context = {
        "runs": runs,
        "dataset": dataset,
        "tab": "runs",
        "headline": selectors.HEADLINE,
        "new_url": f"{reverse('training:new')}?{urlencode(keep)}" if may_train else "",
        "next_url": f"?{urlencode({**keep, 'before': runs[-1].pk})}" if has_more else "",
        "previous_url": f"{reverse('training:list')}?{urlencode(keep)}" if before else "",
    }
    return render(request, "training/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def run_new(request: HttpRequest) -> HttpResponse:
    """Chooses snapshot and recipe, shows the preflight; POST starts the run. `?run=` begins at that run's recipe."""
    user = _user(request)
    again = _run_asked(request)
    dataset = again.dataset if again else _dataset_asked(request)
    if dataset is None:
        return _dataset_choose(request)
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    if request.method == "POST":
        return _start(request, dataset)
    snapshot = again.snapshot if again else _snapshot_asked(dataset, request.GET.get("snapshot", NOW))
    manifest = _manifest(dataset, snapshot)
    if manifest.empty:
        return render(request, "training/new.html", {"dataset": dataset, "tab": "runs", "is_empty": True})
    facts = train_facts(manifest)
    asked = request.GET.get("preset", "")
    notes: list[Note] = []
    if again:
        recipe, preset = Recipe.model_validate(again.recipe), again.preset
        initial = RunForm.initial_for(recipe, preset, recipes.own_knobs(recipe, preset, facts))
    else:
        preset = asked if asked in selectors.SHOWN_PRESETS else DEFAULT_PRESET
        recipe, notes = recipe_fit(PRESETS[preset], facts)
        initial = RunForm.initial_for(recipe, preset)
    form = RunForm(dataset, snapshot, facts, initial={**initial, "snapshot": snapshot.pk if snapshot else NOW})
    form.show_notes(notes)
    return render(request, "training/new.html", {**_new_context(form, manifest, recipe), "again": again})


@require_POST
def run_preview(request: HttpRequest) -> HttpResponse:
    """The form as it follows from what was changed in it, with its preflight. Nothing is written."""
    dataset = _dataset_asked(request)
    if dataset is None:
        raise Http404
    role_require(user=_user(request), dataset=dataset, role=Role.MANAGER)
    snapshot = _snapshot_asked(dataset, request.POST.get("snapshot", NOW))
    manifest = _manifest(dataset, snapshot)
    facts = train_facts(manifest)
    form = RunForm(dataset, snapshot, facts, request.POST)
    if form.is_valid() and form.resolved is not None:
        keep = {name: form.cleaned_data[name] for name in ("name", "snapshot")}
        initial = RunForm.initial_for(form.resolved, form.began_at, form.own_knobs)
        fresh = RunForm(dataset, snapshot, facts, initial={**initial, **keep})
        fresh.show_notes(form.notes)
        return render(request, "training/_form.html", _new_context(fresh, manifest, form.resolved))
    return render(request, "training/_form.html", _new_context(form, manifest, None))


@require_GET
def run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One run: its bar, curves, figures, log, recipe."""
    run = _run(request, pk)
    context = {
        **_live_context(request, run),
        "recipe_text": recipes.recipe_text(Recipe.model_validate(run.recipe)),
        "published": selectors.published(run),
        "breadcrumbs": _breadcrumbs(run.dataset),
        "job_page": request.path,
    }
    return render(request, "training/detail.html", context)


@require_GET
def run_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the run's page that changes. It polls itself and drops its trigger when nothing will change."""
    return render(request, "training/_live.html", _live_context(request, _run(request, pk)))


@require_GET
def run_points(request: HttpRequest, pk: int) -> JsonResponse:
    """The curves of `?chart=` (one of selectors.CHARTS) for `<line-chart>`, and the steps of the whole training.

    `live` says whether more will come.
    """
    run = _run(request, pk)
    chart = request.GET.get("chart", "loss")
    if chart not in selectors.CHARTS:
        raise Http404
    series = selectors.chart_series(run=run, chart=chart)
    return JsonResponse({"live": not run.job.is_final, "steps": run.recipe["steps"], "series": series})


@require_POST
def run_publish(request: HttpRequest, pk: int) -> HttpResponse:
    """Puts the run's model into the zoo as the champion of its dataset."""
    run = _run(request, pk)
    form = PublishForm(request.POST)
    if not form.is_valid():
        raise BadInput("The model needs a name of at most 120 characters.")
    version = services.run_publish(run=run, user=_user(request), model_name=form.cleaned_data["model_name"])
    messages.success(
        request, f"{version} is published. Its search index is being built; then searches use it, as the champion."
    )
    return redirect("training:detail", pk=run.pk)


def _start(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    user = _user(request)
    snapshot = _snapshot_asked(dataset, request.POST.get("snapshot", NOW))
    manifest = _manifest(dataset, snapshot)
    form = RunForm(dataset, snapshot, train_facts(manifest), request.POST)
    recipe = form.resolved if form.is_valid() else None
    if recipe is None:
        return render(request, "training/new.html", _new_context(form, manifest, None), status=422)
    try:
        run = services.run_create(
            snapshot=snapshot or snapshot_create(dataset=dataset, user=user),
            preset=form.began_at if form.began_at in PRESETS else services.CUSTOM,
            recipe=recipe,
            name=form.cleaned_data["name"],
            user=user,
        )
    except BadInput as error:
        context = {**_new_context(form, manifest, recipe), "error": error}
        return render(request, "training/new.html", context, status=error.status)
    return redirect("training:detail", pk=run.pk)


def _manifest(dataset: Dataset, snapshot: Snapshot | None) -> pd.DataFrame:
    """What would be trained on; without a snapshot, the dataset as it is now."""
    return manifest_read(snapshot) if snapshot else snapshot_frame(dataset=dataset)


def _new_context(form: RunForm, manifest: pd.DataFrame, recipe: Recipe | None) -> dict[str, Any]:
    """What the page of a new run shows; without a recipe (it has faults) there is no preflight."""
    dataset, place = form.dataset, selectors.training_place()
    splits = manifest["split"].value_counts()
    train, validation = (int(splits.get(name, 0)) for name in ("train", "validation"))
    context: dict[str, Any] = {
        "form": form,
        "dataset": dataset,
        "tab": "runs",
        "cards": selectors.preset_cards(form.facts, train, place.cores),
        "place": place.words,
        "breadcrumbs": _breadcrumbs(dataset),
        "new_url": f"{reverse('training:new')}?dataset={dataset.pk}",
        "preview_url": f"{reverse('training:preview')}?dataset={dataset.pk}",
    }
    if recipe is None:
        return context
    problems = services.preflight(manifest, recipe)
    return context | {
        "preflight": selectors.problem_rows(dataset=dataset, problems=problems),
        "blocked": any(problem.severity == "error" for problem in problems),
        "passes": selectors.recipe_passes(recipe, train),
        "seconds": selectors.recipe_seconds(recipe, place.cores),
        "facts": {"train": train, "validation": validation, "labels": form.facts.labels},
    }


def _live_context(request: HttpRequest, run: Run) -> dict[str, Any]:
    evaluation_job = selectors.evaluation_job(run) if run.folder_key else None
    evaluation = run.evaluations.order_by("-id").first()
    waiting = evaluation_job is not None and not evaluation_job.is_final
    positions_attach([job for job in (run.job, evaluation_job) if job])
    can_publish = bool(run.folder_key) and run.job.is_final and run.model_version is None
    user = _user(request)
    manages = user.is_superuser or run.dataset_id in user.managed_dataset_ids
    return {
        "run": run,
        "job": run.job,
        "dataset": run.dataset,
        "tab": "runs",
        "figures": selectors.figure_rows(run.metrics, run.untrained_metrics, selectors.METRICS),
        "evaluation": evaluation,
        "evaluation_job": evaluation_job if waiting or evaluation is None else None,
        "live": not run.job.is_final or waiting,
        "log_end": "\n".join(run.job.log_tail.splitlines()[-LOG_LINES:]),
        "succeeded": run.job.state == Job.State.SUCCEEDED,
        "counts": query_counts(evaluation.counts if evaluation else run.snapshot.counts),
        "may_publish": can_publish and manages,
        "again_url": f"{reverse('training:new')}?run={run.pk}" if manages and run.job.is_final else "",
        "publish_form": PublishForm(initial={"model_name": model_name_for(run.dataset)}) if can_publish else None,
    }


def _dataset_choose(request: HttpRequest) -> HttpResponse:
    """Without a dataset: the only one, or a list to choose from."""
    datasets = list(Dataset.objects.for_user(_user(request), Role.MANAGER).order_by("name")[:200])
    if len(datasets) == 1:
        return redirect(f"{reverse('training:new')}?dataset={datasets[0].pk}")
    return render(request, "training/choose.html", {"datasets": datasets})


def _dataset_asked(request: HttpRequest) -> Dataset | None:
    """The dataset that `?dataset=` names. Raises Http404 for one that this person may not see."""
    asked = request.GET.get("dataset", "")
    if not asked:
        return None
    return get_object_or_404(Dataset.objects.for_user(_user(request)), pk=_number(asked))


def _run_asked(request: HttpRequest) -> Run | None:
    """The run that `?run=` names. Raises Http404 for one that this person may not see."""
    asked = request.GET.get("run", "")
    return _run(request, _number(asked)) if asked else None


def _breadcrumbs(dataset: Dataset) -> list[tuple[str, str]]:
    return [
        ("Datasets", reverse("datasets:list")),
        (dataset.name, reverse("datasets:detail", args=[dataset.pk])),
        ("Runs", f"{reverse('training:list')}?dataset={dataset.pk}"),
    ]


def _snapshot_asked(dataset: Dataset, asked: str) -> Snapshot | None:
    """None: the dataset as it is now. Raises Http404 for a snapshot of another dataset."""
    if asked in ("", NOW):
        return None
    return get_object_or_404(Snapshot.objects.select_related("dataset"), dataset=dataset, pk=_number(asked))


def _run(request: HttpRequest, pk: int) -> Run:
    return get_object_or_404(selectors.run_list(user=_user(request)), pk=pk)


def _number(text: str) -> int:
    """An id out of an address; 0, which is nobody's, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware has seen to it
    return request.user

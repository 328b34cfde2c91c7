"""Training again by the recipe of an earlier run."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.datasets.models import Dataset, Snapshot
from apps.jobs.models import Job
from apps.training.models import Run
from apps.training.recipes import BATCH_KNOBS, own_knobs
from apps.training.services import run_create
from mlcore.config import PRESETS
from mlcore.table import TrainFacts, recipe_fit
from tests.apps.training.conftest import SMALL, Photos

pytestmark = pytest.mark.django_db
ClientFor = Callable[[User], Client]


@pytest.fixture
def client(client_for: ClientFor, manager: User) -> Client:
    return client_for(manager)


def again_url(run: Run) -> str:
    return f"{reverse('training:new')}?run={run.pk}"


def detail(client: Client, run: Run) -> str:
    return client.get(reverse("training:detail", args=[run.pk])).content.decode()


def end(run: Run, state: Job.State) -> None:
    Job.objects.filter(pk=run.job_id).update(state=state)


def sent(page: Any, **changes: Any) -> dict[str, Any]:
    """What a browser sends for the form: of the presets, the one that is marked, if any."""
    shown = {field.name: field.value() for field in page.context["form"]}
    if f'value="{shown["preset"]}" id="preset-{shown["preset"]}" checked' not in page.content.decode():
        shown["preset"] = None
    return {name: value for name, value in {**shown, **changes}.items() if value is not None}


def start(client: Client, page: Any, dataset: Dataset, **changes: Any) -> Run:
    answer = client.post(f"{reverse('training:new')}?dataset={dataset.pk}", sent(page, **changes))
    assert answer.status_code == 302
    return Run.objects.latest("pk")


def test_a_run_that_ended_leads_on(client: Client, client_for: ClientFor, viewer: User, run: Run) -> None:
    assert again_url(run) not in detail(client, run)  # while it is queued
    for state in (Job.State.CANCELLED, Job.State.FAILED):
        end(run, state)
        assert "Train again with this recipe" in detail(client, run)
    end(run, Job.State.SUCCEEDED)
    page = detail(client, run)
    assert again_url(run) in page
    assert ">Clone<" in page
    assert again_url(run) not in detail(client_for(viewer), run)


def test_a_recipe_of_ones_own_is_taken_over_as_it_is(client: Client, run: Run, photos: Photos) -> None:
    photos(40, "train")  # what came since is in no run of that snapshot
    page = client.get(again_url(run))
    assert run.name in page.content.decode()
    assert " checked>" not in page.content.decode()  # it began at no preset
    again = start(client, page, run.dataset)
    assert (again.recipe, again.snapshot, again.preset) == (run.recipe, run.snapshot, "custom")


@pytest.mark.parametrize("preset", ["quick", "demo"])
def test_the_preset_that_it_began_at_is_known(client: Client, snapshot: Snapshot, manager: User, preset: str) -> None:
    run = run_create(snapshot=snapshot, preset=preset, recipe=None, name="", user=manager)
    page = client.get(again_url(run))
    assert (" checked>" in page.content.decode()) == (preset == "quick")  # the demo's is not offered
    again = start(client, page, snapshot.dataset)
    assert (again.recipe, again.preset) == (run.recipe, preset)


def test_one_knob_or_a_preset_can_be_changed(client: Client, run: Run) -> None:
    page = client.get(again_url(run))
    assert start(client, page, run.dataset, seed=7).recipe == {**run.recipe, "seed": 7}
    preview = f"{reverse('training:preview')}?dataset={run.dataset_id}"
    page = client.post(preview, sent(page, seed=8))
    assert start(client, page, run.dataset).recipe == {**run.recipe, "seed": 8}
    begun_anew = start(client, client.post(preview, sent(page, preset="quick")), run.dataset)
    assert (begun_anew.preset, begun_anew.recipe["extractor"]["dimension"]) == ("quick", 128)


def test_only_batches_that_are_not_the_presets_are_ones_own() -> None:
    facts = TrainFacts(labels=9, most_samples=8)
    fitted, _ = recipe_fit(PRESETS["quick"], facts)
    assert own_knobs(fitted, "quick", facts) == set()
    assert own_knobs(SMALL, "quick", facts) == {"labels", "instances"}
    assert own_knobs(fitted, "custom", facts) == set(BATCH_KNOBS)


def test_who_may_begin_at_a_run(client_for: ClientFor, run: Run, viewer: User, other_user: User) -> None:
    assert client_for(viewer).get(again_url(run)).status_code == 403
    for address in (again_url(run), f"{reverse('training:new')}?run=x"):
        assert client_for(other_user).get(address).status_code == 404


def test_best_is_said_of_what_there_is(client: Client, run: Run) -> None:
    assert "Best so far" in detail(client, run)
    end(run, Job.State.CANCELLED)
    assert 'id="figures-title"' not in detail(client, run)
    Run.objects.update(untrained_metrics={"cmc@1": 0.2})
    assert '<h2 id="figures-title">Best</h2>' in detail(client, run)

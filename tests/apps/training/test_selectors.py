"""What the pages say of a recipe, of a preflight's faults and of a published run."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.datasets.models import Dataset, Label
from apps.datasets.selectors.snapshots import snapshot_frame
from apps.jobs.hosts import host_name
from apps.jobs.models import Job, Slot
from apps.search.models import EmbeddingSet, Index
from apps.training import selectors
from apps.training.models import Point, Run
from apps.training.services import preflight
from apps.zoo.services import alias_set, version_publish
from mlcore.config import PRESETS, BalancedSampler, Recipe
from mlcore.table import Problem
from tests.apps.training.conftest import SMALL, Photos
from tests.apps.zoo.making import make_model, make_version

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("steps", "train", "words"),
    [
        (60, 64, "each sample about 60 times"),
        (10, 256, "each sample about 2.5 times"),
        (1, 64, "each sample about once"),
        (1, 128, "about 50 % of the samples once"),
        (3, 0, "each sample about 192 times"),
    ],
)
def test_passes(steps: int, train: int, words: str) -> None:
    recipe = Recipe(steps=steps, sampler=BalancedSampler(labels=16, instances=4))
    assert selectors.recipe_passes(recipe, train) == words


def test_the_time_is_guessed_for_the_cores_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert selectors.training_place().cores == 2
    slot = Slot.objects.create(host="elsewhere", name="cpu", pool="device")
    assert selectors.training_place().cores == 2
    Slot.objects.filter(pk=slot.pk).update(host=host_name())
    place = selectors.training_place()
    assert place.cores == 8
    assert "8 CPU cores" in place.words
    whole, share = (selectors.recipe_seconds(PRESETS["best"], cores) for cores in (2, 8))
    assert whole / share == pytest.approx(4, rel=0.1)
    Slot.objects.create(host=host_name(), name="cuda:0", pool="device")
    assert "accelerator here" in selectors.training_place().words


def test_faults_lead_to_the_labels_that_they_name(dataset: Dataset, photos: Photos) -> None:
    photos(0, "train")
    photos(1, "train", count=1)
    photos(0, "validation", drawn_as=3)
    problems = preflight(snapshot_frame(dataset=dataset), SMALL)
    with CaptureQueriesContext(connection) as captured:
        rows = selectors.problem_rows(dataset=dataset, problems=problems)
    assert len(captured) == 1
    ids = dict(Label.objects.values_list("name", "pk"))
    links = {row["message"]: row["links"] for row in rows}
    assert links["1 label is in both splits, which flatters the figures: mark 00."] == [("mark 00", ids["mark 00"])]
    assert links["1 training label has one sample, copies left out: mark 01."] == [("mark 01", ids["mark 01"])]
    with CaptureQueriesContext(connection) as captured:
        assert selectors.problem_rows(dataset=dataset, problems=[Problem(0, "", "a", "b")])[0]["links"] == []
    assert not captured


def test_the_page_of_a_new_run_links_them(
    client_for: Callable[[User], Client], manager: User, dataset: Dataset, photos: Photos
) -> None:
    for label in range(9):
        photos(label, "train")
    photos(0, "validation", drawn_as=60)
    page = client_for(manager).get(f"{reverse('training:new')}?dataset={dataset.pk}").content.decode()
    pk = Label.objects.get(name="mark 00").pk
    assert f'href="{reverse("datasets:samples", args=[dataset.pk])}?label={pk}">mark 00</a>' in page
    assert "Move its samples to one split." in page


def test_points_are_what_the_chart_takes(client_for: Callable[[User], Client], manager: User, run: Run) -> None:
    client = client_for(manager)
    Point.objects.bulk_create([Point(run=run, name="cmc@1", step=step, value=0.5) for step in (20, 0)])
    Point.objects.bulk_create([Point(run=run, name="loss", step=step, value=1.0) for step in range(5001)])
    url = reverse("training:points", args=[run.pk])
    answer = client.get(url, {"chart": "validation"}).json()
    assert answer["live"] is True
    assert answer["series"][0] == {"name": "cmc@1", "label": "CMC@1", "unit": "%", "points": [[0, 0.5], [20, 0.5]]}
    points = client.get(url).json()["series"][0]["points"]
    assert len(points) <= 2000
    assert points[-1][0] == 5000
    assert client.get(url, {"chart": "users"}).status_code == 404


def test_the_axis_and_the_digits_of_the_charts(client_for: Callable[[User], Client], manager: User, run: Run) -> None:
    Point.objects.create(run=run, name="images_per_second", step=2, value=47.87)
    client = client_for(manager)

    def points(chart: str) -> Any:
        return client.get(reverse("training:points", args=[run.pk]), {"chart": chart}).json()

    assert [points(chart)["steps"] for chart in selectors.CHARTS] == [40, 40, 40]
    assert points("speed")["series"][0]["decimals"] == 0
    assert "decimals" not in points("loss")["series"][0]


def test_a_published_run_shows_its_index_and_then_the_search(
    client_for: Callable[[User], Client], manager: User, run: Run
) -> None:
    client, address = client_for(manager), reverse("training:detail", args=[run.pk])
    search = reverse("search:page", args=[run.dataset_id])
    version = make_version(make_model(run.dataset), manager, snapshot=run.snapshot)
    version_publish(version=version, user=manager)
    alias_set(model=version.model, name="champion", version=version, user=manager)
    Run.objects.update(model_version=version)
    Job.objects.filter(pk=run.job_id).update(state=Job.State.SUCCEEDED)
    job = Job.objects.create(kind="index", title="Index", payload={"version": version.pk}, dataset=run.dataset)
    page = client.get(address).content.decode()
    assert f"job-bar-{job.pk}" in page
    assert 'data-reload-on="job-done"' in page
    assert "Search with it" not in page

    Job.objects.filter(pk=job.pk).update(state=Job.State.SUCCEEDED)
    embeddings = EmbeddingSet.objects.create(
        version=version, snapshot=run.snapshot, space=version.space, dimension=16, count=1, folder_key="e", sha256="0"
    )
    Index.objects.create(
        dataset=run.dataset, embedding_set=embeddings, version=version, folder_key="i", sha256="0", is_active=True
    )
    page = client.get(address).content.decode()
    assert f"job-bar-{job.pk}" not in page
    assert f'href="{search}">Search with it</a>' in page
    version.model.aliases.all().delete()  # searches use another: it would not be "with it"
    assert "Search with it" not in client.get(address).content.decode()

"""The overview of a dataset: what it offers to whom, where its steps lead, and its name."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.datasets.models import Dataset
from apps.datasets.services import dataset_create, dataset_version, snapshot_create
from apps.jobs.models import Job
from apps.reports.models import Evaluation
from apps.training.models import Run
from tests.apps.datasets.conftest import make_zip, photo
from tests.apps.datasets.test_views import address


@pytest.fixture
def client(user: User, client_for: Callable[[User], Client]) -> Client:
    return client_for(user)


@pytest.mark.parametrize("role", Role)
def test_nobody_is_offered_what_is_refused(role: Role, dataset: Dataset, bring_in: Any, member_client: Any) -> None:
    """With nothing in it, with photos that have no label, and when a snapshot is due."""
    client = member_client(role)
    refused = {
        Role.VIEWER: ("samples_update", "samples_delete", "import_create", "snapshot_create", "edit", "label_create"),
        Role.ANNOTATOR: ("samples_delete", "import_create", "snapshot_create", "edit"),
        Role.MANAGER: (),
    }[role]

    def offered() -> str:
        pages = ("detail", "samples", "labels", "imports", "snapshots")
        return " ".join(client.get(address(name, dataset.pk)).content.decode() for name in pages)

    text = offered()
    bring_in(make_zip({"1.jpg": photo(1)}))
    text += offered()
    assert ('unlabelled=1">Label<' in text) == (role >= Role.ANNOTATOR)
    for name in refused:
        assert f'{address(name, dataset.pk)}"' not in text, name
    assert role < Role.MANAGER or address("import_create", dataset.pk) in text


def test_a_dataset_is_renamed_once_per_version(filled: Dataset, user: User, client: Client) -> None:
    dataset_create(name="Cups", user=user)
    url = reverse("datasets:edit", args=[filled.pk])
    seen = dataset_version(filled)
    taken = client.post(url, {"version": seen, "name": "Cups", "description": "kept"})
    assert taken.status_code == 422
    assert "There is a dataset called Cups already" in taken.content.decode()
    assert ">\nkept</textarea>" in taken.content.decode()
    assert client.post(url, {"version": seen, "name": " ", "description": ""}).status_code == 422
    assert client.post(url, {"version": seen, "name": "Jars", "description": "of clay"}).status_code == 302
    stale = client.post(url, {"version": seen, "name": "Pots"})
    page = stale.content.decode()
    assert (stale.status_code, "now called Jars" in page, 'value="Pots"' in page) == (409, True, True)
    assert 'aria-label="Jars"' in page  # it is the page of the dataset, with its tabs
    filled.refresh_from_db()
    assert (filled.name, filled.description) == ("Jars", "of clay")
    again = {"version": stale.context["form"]["version"].value(), "name": "Pots"}
    assert client.post(url, again).status_code == 302  # what is shown now is what it is based on


def test_each_step_leads_to_its_place(filled: Dataset, user: User, client: Client) -> None:
    url = reverse("datasets:detail", args=[filled.pk])
    assert f'action="{reverse("datasets:snapshot_create", args=[filled.pk])}"' in client.get(url).content.decode()
    snapshot = snapshot_create(dataset=filled, user=user)
    old, new, published = (
        Run.objects.create(
            dataset=filled,
            snapshot=snapshot,
            name=name,
            preset="quick",
            recipe={},
            folder_key=f"runs/{name}",
            job=Job.objects.create(kind="train", title=name, state=Job.State.SUCCEEDED, dataset=filled),
        )
        for name in ("old", "new", "published")
    )
    assert f'href="{reverse("training:detail", args=[published.pk])}">To the run' in client.get(url).content.decode()
    reports = [
        Evaluation.objects.create(
            run=run,
            snapshot=snapshot,
            job=Job.objects.create(kind="evaluate", title="x", state=Job.State.SUCCEEDED, dataset=filled),
        )
        for run in (new, old)
    ]
    page = client.get(url).content.decode()
    assert f'href="{reverse("reports:detail", args=[reports[-1].pk])}">Read the report' in page
    assert f'href="{reverse("training:detail", args=[new.pk])}">To the run' in page  # the newest that has a report

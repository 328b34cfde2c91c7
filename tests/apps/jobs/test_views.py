"""The pages of jobs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Dataset
from apps.jobs import services
from apps.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("job_settings")]


@pytest.fixture
def dataset() -> Dataset:
    return Dataset.objects.create(name="Sneakers")


@pytest.fixture
def sign_in(dataset: Dataset) -> Callable[..., Client]:
    def sign_in(name: str, role: Role | None) -> Client:
        user = User.objects.create_user(name)
        if role is not None:
            Membership.objects.create(user=user, dataset=dataset, role=role)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def submit(dataset: Dataset | None, owner: User | None = None, kind: str = "count") -> Job:
    return services.job_submit(kind=kind, title="Import of shoes.zip", payload={}, owner=owner, dataset=dataset)


def test_list_and_detail(sign_in: Any, dataset: Dataset) -> None:
    client = sign_in("viewer", Role.VIEWER)
    page = client.get(reverse("jobs:list"))
    assert "No long work yet" in page.content.decode()
    job = submit(dataset)
    submit(dataset)
    page = client.get(reverse("jobs:list")).content.decode()
    assert "Import of shoes.zip" in page
    assert "waits for a device, 2nd in line" in page
    Job.objects.filter(pk=job.pk).update(state="failed", error="Two labels are too few.", log_tail="<b>last line</b>")
    page = client.get(reverse("jobs:detail", args=[job.pk])).content.decode()
    assert "Two labels are too few." in page
    assert "&lt;b&gt;last line" in page


def test_the_list_asks_as_often_for_many_as_for_few(sign_in: Any, dataset: Dataset) -> None:
    client = sign_in("viewer", Role.VIEWER)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(reverse("jobs:list")).status_code == 200
        return len(captured)

    submit(dataset, owner=User.objects.create_user("one"))
    few = queries()
    for number in range(60):
        submit(dataset, owner=User.objects.create_user(f"user {number}"))
    assert queries() == few
    assert few <= 6


def test_paging_and_the_filter(sign_in: Any, dataset: Dataset) -> None:
    client = sign_in("viewer", Role.VIEWER)
    jobs = [submit(dataset) for _ in range(55)]
    Job.objects.filter(pk__in=[job.pk for job in jobs[:53]]).update(state="failed")
    first = client.get(reverse("jobs:list"), {"state": "failed"})
    assert len(first.context["jobs"]) == 50
    second = client.get(reverse("jobs:list") + first.context["next_url"])
    assert [job.pk for job in second.context["jobs"]] == [job.pk for job in reversed(jobs[:3])]
    assert second.context["previous_url"] == "?state=failed"
    assert client.get(reverse("jobs:list"), {"before": "1' OR", "state": "x"}).status_code == 200


def test_the_bar_polls_until_the_end(sign_in: Any, dataset: Dataset) -> None:
    client = sign_in("viewer", Role.VIEWER)
    job = submit(dataset)
    address = reverse("jobs:bar", args=[job.pk])
    running = client.get(address)
    assert f'hx-get="{address}"' in running.content.decode()
    assert "HX-Trigger" not in running.headers
    Job.objects.filter(pk=job.pk).update(state="succeeded")
    ended = client.get(address)
    assert "hx-trigger" not in ended.content.decode()
    assert "job-done" in ended.headers["HX-Trigger"]


@pytest.mark.parametrize(
    ("role", "status"), [(None, 404), (Role.VIEWER, 403), (Role.ANNOTATOR, 403), (Role.MANAGER, 302)]
)
def test_who_may_cancel(sign_in: Any, dataset: Dataset, role: Role | None, status: int) -> None:
    job = submit(dataset, owner=User.objects.create_user("owner"))
    response = sign_in("someone", role).post(reverse("jobs:cancel", args=[job.pk]))
    assert response.status_code == status
    job.refresh_from_db()
    assert (job.state == "cancelled") == (status == 302)


def test_the_owner_cancels_and_returns(dataset: Dataset) -> None:
    owner = User.objects.create_user("owner")
    client = Client()
    client.force_login(owner)
    job = submit(dataset, owner=owner)
    address = reverse("jobs:cancel", args=[job.pk])
    assert client.post(address).status_code == 404  # no member of the dataset, or no more
    Membership.objects.create(user=owner, dataset=dataset, role=Role.VIEWER)
    assert client.get(address).status_code == 405
    assert client.post(address, {"next": "https://evil.example/"}).headers["Location"].endswith(f"/jobs/{job.pk}/")
    assert client.post(address, {"next": "/jobs/"}).headers["Location"] == "/jobs/"
    assert "cancelled" in client.post(address, headers={"HX-Request": "true"}).content.decode()


def test_foreign_ids_are_not_found(sign_in: Any) -> None:
    client = sign_in("stranger", None)
    job = submit(None)
    for name in ("detail", "bar"):
        assert client.get(reverse(f"jobs:{name}", args=[job.pk])).status_code == 404
    assert client.post(reverse("jobs:cancel", args=[job.pk])).status_code == 404
    assert Client().get(reverse("jobs:list")).status_code == 302


def test_cancel_is_offered_to_those_who_may(sign_in: Any, dataset: Dataset) -> None:
    job = submit(dataset)
    cancel = reverse("jobs:cancel", args=[job.pk])
    for name, role, offered in (("viewer", Role.VIEWER, False), ("manager", Role.MANAGER, True)):
        client = sign_in(name, role)
        page = client.get(reverse("jobs:bar", args=[job.pk])).content.decode()
        assert (cancel in page) == offered
        assert client.post(cancel).status_code == (302 if offered else 403)


def test_a_dataset_full_of_bars_asks_no_more_for_each(sign_in: Any, dataset: Dataset) -> None:
    client = sign_in("manager", Role.MANAGER)
    page = reverse("datasets:detail", args=[dataset.pk])
    submit(dataset)
    client.get(page)
    with CaptureQueriesContext(connection) as few:
        client.get(page)
    for _ in range(3):
        submit(dataset)
    with CaptureQueriesContext(connection) as many:
        client.get(page)
    assert len(many) == len(few)

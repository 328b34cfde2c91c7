"""Members: seen by all of them, changed by managers, and never without a manager."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput
from apps.datasets.models import Dataset
from apps.datasets.services import dataset_create
from apps.datasets.services.members import OnlyManager, member_remove, member_set

MemberClient = Callable[[Role], Client]


def roles(dataset: Dataset) -> dict[str, int]:
    return dict(Membership.objects.filter(dataset=dataset).values_list("user__username", "role"))


@pytest.mark.django_db
def test_a_manager_gives_changes_and_takes_roles(
    dataset: Dataset, user: User, client_for: Callable[..., Client]
) -> None:
    client, url = client_for(user), reverse("datasets:members", args=[dataset.pk])
    person = User.objects.create_user("anna")
    for role in (Role.VIEWER, Role.MANAGER, Role.ANNOTATOR):
        page = client.post(url, {"username": " anna ", "role": role}, follow=True)
        assert f"anna is now {role.label}" in page.content.decode()
        assert roles(dataset) == {user.username: Role.MANAGER, "anna": role}
    removal = reverse("datasets:member_remove", args=[Membership.objects.get(user=person).pk])
    assert removal in client.get(url).content.decode()
    client.post(removal)
    assert roles(dataset) == {user.username: Role.MANAGER}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"username": "nobody", "role": 10}, "Nobody here is called"),
        ({"username": "", "role": 10}, "required"),
        ({"username": "anna", "role": 99}, "99"),
        ({"username": "gone", "role": 10}, "Nobody here is called"),
    ],
)
def test_what_cannot_be_is_said_on_the_page(
    sent: dict[str, object], said: str, dataset: Dataset, user: User, client_for: Callable[..., Client]
) -> None:
    User.objects.create_user("anna")
    User.objects.create_user("gone", is_active=False)
    answer = client_for(user).post(reverse("datasets:members", args=[dataset.pk]), sent)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert roles(dataset) == {user.username: Role.MANAGER}


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR])
def test_others_see_whom_to_ask(role: Role, dataset: Dataset, user: User, member_client: MemberClient) -> None:
    client, url = member_client(role), reverse("datasets:members", args=[dataset.pk])
    before = roles(dataset)
    page = client.get(url).content.decode()
    assert user.username in page
    assert "member-form" not in page
    refused = client.post(url, {"username": user.username, "role": 10})
    assert refused.status_code == 403
    assert user.username in refused.content.decode()
    owner = Membership.objects.get(user=user, dataset=dataset)
    assert client.post(reverse("datasets:member_remove", args=[owner.pk])).status_code == 403
    assert roles(dataset) == before


@pytest.mark.django_db
def test_the_only_manager_stays(dataset: Dataset, user: User) -> None:
    with pytest.raises(OnlyManager):
        member_set(dataset=dataset, username=user.username, role=Role.VIEWER)
    with pytest.raises(OnlyManager):
        member_remove(membership=Membership.objects.get(user=user, dataset=dataset))
    with pytest.raises(BadInput):
        member_set(dataset=dataset, username="nobody", role=Role.VIEWER)
    assert roles(dataset) == {user.username: Role.MANAGER}


@pytest.mark.django_db
def test_a_manager_who_may_not_sign_in_is_none(dataset: Dataset, user: User) -> None:
    gone = User.objects.create_user("gone", is_active=False)
    Membership.objects.create(user=gone, dataset=dataset, role=Role.MANAGER)
    with pytest.raises(OnlyManager):
        member_remove(membership=Membership.objects.get(user=user, dataset=dataset))
    member_remove(membership=Membership.objects.get(user=gone, dataset=dataset))
    assert roles(dataset) == {user.username: Role.MANAGER}


@pytest.mark.django_db(transaction=True)
def test_two_managers_who_remove_each_other_leave_one(user: User) -> None:
    dataset = dataset_create(name="Shared", user=user)
    User.objects.create_user("anna")
    member_set(dataset=dataset, username="anna", role=Role.MANAGER)
    ids = list(Membership.objects.filter(dataset=dataset).values_list("pk", flat=True))

    def remove(pk: int) -> bool:
        try:
            member_remove(membership=Membership.objects.select_related("user", "dataset").get(pk=pk))
        except OnlyManager:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, ids)) == [False, True]
    assert list(roles(dataset).values()) == [Role.MANAGER]


@pytest.mark.django_db
def test_it_asks_as_often_for_many_as_for_few(dataset: Dataset, user: User, client_for: Callable[..., Client]) -> None:
    client, url = client_for(user), reverse("datasets:members", args=[dataset.pk])
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    people = User.objects.bulk_create(User(username=f"person {number}") for number in range(5))
    Membership.objects.bulk_create(Membership(user=person, dataset=dataset, role=10) for person in people)
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(few)

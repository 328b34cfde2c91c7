"""Lists of people, memberships and tokens: as many queries for many rows as for few."""

from collections.abc import Callable

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.accounts.tokens import token_create
from apps.datasets.models import Dataset


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def add(person: User, number: int) -> None:
    dataset = Dataset.objects.create(name=f"dataset {number}")
    other = User.objects.create_user(f"person {number}")
    for member in (person, other):
        Membership.objects.create(user=member, dataset=dataset, role=Role.VIEWER)
        token_create(user=member, name=f"robot {number}", scopes=["read"], days=1)


def test_queries_do_not_grow_with_rows(superuser: User, client_for: Callable[[User], Client]) -> None:
    client = client_for(superuser)
    pages = [reverse(f"admin:accounts_{name}_changelist") for name in ("user", "membership", "apitoken")]
    pages += [reverse("accounts:tokens"), reverse("admin:accounts_user_change", args=[superuser.pk])]
    add(superuser, 0)
    before = [queries(client, page) for page in pages]
    for number in range(1, 9):
        add(superuser, number)
    assert [queries(client, page) for page in pages] == before
    assert "robot 8" in client.get(reverse("accounts:tokens")).content.decode()

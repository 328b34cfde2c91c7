"""People, runs and jobs in the admin."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Dataset
from tests.apps.zoo.making import make_dataset, make_model, make_run, make_version


@pytest.fixture
def admin(client_for: Callable[[User], Client], superuser: User) -> Client:
    return client_for(superuser)


def test_groups_and_other_ways_to_sign_in_are_not_offered(admin: Client, user: User) -> None:
    index = admin.get(reverse("admin:index")).text
    assert "Groups" not in index
    assert "API tokens" in index
    assert "Api tokens" not in index
    for name, arguments in (("user_add", []), ("user_change", [user.pk]), ("user_password_change", [user.pk])):
        name = f"auth_{name}" if name == "user_password_change" else f"accounts_{name}"
        page = admin.get(reverse(f"admin:{name}", args=arguments))
        assert page.status_code == 200
        assert "Single Sign-On" not in page.text
        assert 'name="usable_password"' not in page.text
        assert "The groups this user belongs to" not in page.text


def test_a_person_is_made_with_a_password_that_can_be_changed(admin: Client) -> None:
    words = {"password1": "a quite new password", "password2": "a quite new password"}
    none = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    assert admin.post(reverse("admin:accounts_user_add"), {"username": "bo", **words, **none}).status_code == 302
    bo = User.objects.get(username="bo")
    assert bo.check_password("a quite new password")
    words = dict.fromkeys(words, "another new password")
    assert admin.post(reverse("admin:auth_user_password_change", args=[bo.pk]), words).status_code == 302
    bo.refresh_from_db()
    assert bo.check_password("another new password")


def test_memberships_name_their_dataset(admin: Client, user: User) -> None:
    dataset = Dataset.objects.create(name="Sneakers")
    Membership.objects.create(user=user, dataset=dataset, role=Role.VIEWER)
    page = admin.get(reverse("admin:accounts_user_change", args=[user.pk])).text
    assert f"{user.username} is viewer of Sneakers" in page


def test_runs_and_jobs_are_there_to_look_at(admin: Client, user: User) -> None:
    run = make_run(make_version(make_model(make_dataset("Shapes", user)), user))
    for name, row in (("training_run", run), ("jobs_job", run.job)):
        listed = admin.get(reverse(f"admin:{name}_changelist"), {"q": str(row)[:5]})
        assert listed.status_code == 200
        page = reverse(f"admin:{name}_change", args=[row.pk])
        assert admin.get(page).status_code == 200
        assert admin.post(page, {"name": "x", "title": "x"}).status_code == 403
        assert admin.get(reverse(f"admin:{name}_add")).status_code == 403
        assert admin.post(reverse(f"admin:{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403

"""Other people's things are not found: every address that names one, read from the resolver, by every method.

One data set with something of everything; a stranger, who is a manager of another, and its own manager.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.accounts.tokens import token_create
from apps.datasets.models import Dataset, Import
from apps.reports.models import Evaluation
from apps.training.models import Run
from tests.apps.reports.conftest import dataset, manager, photos, report, run, snapshot
from tests.apps.zoo.making import make_version
from tests.kindred.site import addresses

__all__ = ["dataset", "manager", "photos", "report", "run", "snapshot"]

METHODS = ("get", "post", "put", "patch", "delete")
# Whose id -> the addresses that take it. What is new must be entered here, or the first test fails.
ADDRESSES = {
    "dataset": [
        *(f"datasets:{name}" for name in ("detail", "samples", "samples_update", "labels", "label_create")),
        *(f"datasets:{name}" for name in ("imports", "import_create", "snapshots", "snapshot_create", "members")),
        *("datasets:edit", "datasets:samples_delete"),
        *("search:page", "search:query", "api:datasets-detail", "dataset_remove"),
    ],
    "sample": [
        "datasets:sample",
        "datasets:photo",
        "datasets:thumb",
        "api:samples-detail",
        "api:samples-thumbnail",
    ],
    "label": ["datasets:label_edit", "datasets:label_delete", "api:labels-detail"],
    "membership": ["datasets:member_remove"],
    "import": ["datasets:import"],
    "snapshot": ["datasets:snapshot", "datasets:snapshot_manifest", "datasets:snapshot_table"],
    "job": ["jobs:detail", "jobs:bar", "jobs:cancel", "api:jobs-detail", "api:jobs-cancel"],
    "run": ["training:detail", "training:live", "training:points", "training:publish", "api:runs-detail"],
    "report": ["reports:detail"],
    "model": ["zoo:model", "zoo:remove_alias", "api:models-detail"],
    "version": ["zoo:version", "zoo:publish", "zoo:retire", "zoo:set_alias", "zoo:notes", "search:index"],
    "token": ["accounts:token_revoke"],
}
TAKES = {name: whose for whose, names in ADDRESSES.items() for name in names}
# Those that take an argument which names no row.
NAMELESS = {"accounts:setup", *(f"api:{noun}s-list" for noun in ("dataset", "label", "sample", "model", "run", "job"))}
QUERIES = {  # addresses that are told a row in their query instead
    "training:list": "dataset",
    "training:new": "dataset",
    "training:preview": "dataset",
    "reports:list": "dataset",
}


@pytest.fixture
def ids(report: Evaluation, run: Run, manager: User) -> dict[str, int]:
    whole = run.dataset
    version = make_version(whole.zoo_models.create(name="marks"), manager)
    sample = whole.samples.select_related("label").earliest("pk")
    assert sample.label is not None
    return {
        "dataset": whole.pk,
        "sample": sample.pk,
        "label": sample.label.pk,
        "import": Import.objects.create(dataset=whole, file_name="a.zip", upload_key="", size_bytes=1).pk,
        "snapshot": run.snapshot_id,
        "membership": Membership.objects.get(user=manager, dataset=whole).pk,
        "job": run.job_id,
        "run": run.pk,
        "report": report.pk,
        "model": version.model_id,
        "version": version.pk,
        "token": token_create(user=manager, name="theirs", scopes=["read"], days=1)[0].pk,
    }


@pytest.fixture
def stranger(other_user: User) -> User:
    Membership.objects.create(user=other_user, dataset=Dataset.objects.create(name="Elsewhere"), role=Role.MANAGER)
    return other_user


def path_of(name: str, pk: int) -> str:
    return reverse(name, args=[pk, 160] if name.endswith(":thumb") else [pk])


def call(client: Client, method: str, path: str) -> int:
    body = {"name": "x", "version": 1, "label": "x"}
    more: dict[str, Any] = (
        {} if method in ("get", "post") and "/api/" not in path else {"content_type": "application/json"}
    )
    return int(getattr(client, method)(path, None if method == "get" else body, **more).status_code)


def test_every_address_is_known() -> None:
    named = {a.name for a in addresses() if a.has_arguments and a.name != a.path and not a.name.startswith("admin:")}
    assert named == set(TAKES) | NAMELESS


@pytest.mark.django_db
def test_a_stranger_finds_nothing(ids: dict[str, int], stranger: User, client_for: Callable[[User], Client]) -> None:
    client = client_for(stranger)
    seen: dict[str, set[int]] = {}
    for name, whose in TAKES.items():
        for method in METHODS:
            status = call(client, method, path_of(name, ids[whose]))
            assert status in (404, 405), (name, method, status)
            seen.setdefault(name, set()).add(status)
    assert [name for name, statuses in seen.items() if 404 not in statuses] == []
    for name, whose in QUERIES.items():
        address = f"{reverse(name)}?{whose}={ids[whose]}"
        statuses = [client.get(address).status_code, client.post(address).status_code]
        assert 404 in statuses, name
        assert set(statuses) <= {404, 405}, (name, statuses)


@pytest.mark.django_db
def test_its_manager_finds_everything(ids: dict[str, int], manager: User, client_for: Callable[[User], Client]) -> None:
    """Else the test above would pass with any number that does not exist."""
    client = client_for(manager)
    for name, whose in TAKES.items():
        with transaction.atomic():
            statuses = {method: call(client, method, path_of(name, ids[whose])) for method in ("get", "post")}
            transaction.set_rollback(True)
        assert 404 not in statuses.values(), (name, statuses)
        assert set(statuses.values()) != {405}, (name, statuses)

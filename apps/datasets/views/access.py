"""What every view of datasets begins with: who asks, for which dataset, in what role."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.datasets import selectors
from apps.datasets.models import Dataset


def user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the login middleware lets nobody else in
    return request.user


def dataset_or_404(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Dataset:
    """A dataset that the person may see; 404 for any other, Forbidden when the role is too low for what is asked."""
    dataset = get_object_or_404(selectors.datasets_list(user=user_of(request)), pk=pk)
    if role > Role.VIEWER:
        selectors.role_require(user=user_of(request), dataset=dataset, role=role)
    return dataset


def page(request: HttpRequest, dataset: Dataset, tab: str, *crumbs: tuple[str, str]) -> dict[str, Any]:
    """What every page of a dataset shows: its tabs, the way here, and what the person may do."""
    role = selectors.role_in(user=user_of(request), dataset=dataset)
    return {
        "dataset": dataset,
        "tab": tab,
        "can_annotate": role >= Role.ANNOTATOR,
        "can_manage": role >= Role.MANAGER,
        "breadcrumbs": [
            ("Datasets", reverse("datasets:list")),
            *([(dataset.name, reverse("datasets:detail", args=[dataset.pk]))] if crumbs else []),
            *crumbs,
        ],
    }

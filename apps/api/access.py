"""Which rows a caller reaches: one place for every endpoint."""

from typing import TypeVar

from django.db.models import Model as Row
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request

from apps.accounts.models import Role, User
from apps.core.errors import BadInput, Forbidden
from apps.datasets.models import Dataset
from apps.zoo.models import ModelVersion

T = TypeVar("T", bound=Row)


def caller(request: Request) -> User:
    assert isinstance(request.user, User)  # the default permission lets nobody else in
    return request.user


def require_role(request: Request, dataset: Dataset, role: Role) -> None:
    """Raises Forbidden when the caller may see a dataset but not do this."""
    if not Dataset.objects.for_user(caller(request), role).filter(pk=dataset.pk).exists():
        raise Forbidden(f"This needs the role {role.label} in {dataset.name}.", remedy="Ask a manager of the dataset.")


def reach(queryset: QuerySet[T], pk: int) -> T:
    return get_object_or_404(queryset, pk=pk)


def version_named(request: Request, text: str) -> ModelVersion:
    """`name:3`, `name@alias` or `name`, whose champion is meant. 404 for what the caller may not see."""
    versions = ModelVersion.objects.for_user(caller(request)).select_related("model__dataset")
    name, colon, number = text.rpartition(":")
    if versions.filter(model__name=text).exists():  # a name may hold the marks
        version = get_object_or_404(versions, model__name=text, aliases__name="champion")
    elif colon and number.isdecimal():
        version = get_object_or_404(versions, model__name=name, number=int(number))
    else:
        name, _, alias = text.partition("@")
        version = get_object_or_404(versions, model__name=name, aliases__name=alias or "champion")
    if version.state != ModelVersion.State.PUBLISHED:
        raise BadInput(f"{version} is {version.state}.", remedy="Publish it, or name a published version.")
    return version

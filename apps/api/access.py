"""Which rows a caller reaches: one place for every endpoint."""

from typing import TypeVar

from django.db.models import Model as Row
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.request import Request

from apps.accounts.models import Role, User
from apps.core.errors import BadInput, Forbidden, KindredError
from apps.datasets.models import Dataset
from apps.zoo.models import ModelVersion

T = TypeVar("T", bound=Row)


class NotHere(KindredError):  # noqa: N818
    """There is no such thing, or the caller may not see it."""

    status = 404
    title = "Not found"


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
    """`name:3`, `name@alias` or `name`, whose champion is meant. Raises NotHere for what the caller may not see."""
    versions = ModelVersion.objects.for_user(caller(request)).select_related("model__dataset")
    name, colon, number = text.rpartition(":")
    if versions.filter(model__name=text).exists():  # a name may hold the marks
        found = versions.filter(model__name=text, aliases__name="champion")
    elif colon and number.isdecimal() and len(number) < 10:
        found = versions.filter(model__name=name, number=int(number))
    else:
        name, _, alias = text.partition("@")
        found = versions.filter(model__name=name, aliases__name=alias or "champion")
    version = found.first()
    if version is None:
        raise NotHere(
            f"There is no model={text[:100]!r} that you may use.",
            remedy="Name it as name:version, name@alias, or alone where it has a champion. /api/v1/models/ lists them.",
        )
    if version.state != ModelVersion.State.PUBLISHED:
        raise BadInput(f"{version} is {version.state}.", remedy="Publish it, or name a published version.")
    return version

"""Who may do what with a dataset."""

from django.db import transaction

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict
from apps.datasets.models import Dataset
from apps.datasets.services.datasets import dataset_hold


class OnlyManager(Conflict):
    """Nobody would be left who may change the members."""

    title = "A dataset needs a manager"


@transaction.atomic
def member_set(*, dataset: Dataset, username: str, role: Role) -> Membership:
    """Gives a person a role in a dataset, instead of the one that they have.

    Raises BadInput for a name that nobody has, OnlyManager when it would leave the dataset without a manager.
    """
    person = User.objects.filter(username=username.strip(), is_active=True).first()
    if person is None:
        raise BadInput(
            f"Nobody here is called {username.strip()[:150]!r}.",
            remedy="Check the spelling. An administrator makes accounts, in the administration.",
        )
    _lock(dataset)
    if role < Role.MANAGER:
        _keep_a_manager(dataset, person)
    membership, _ = Membership.objects.update_or_create(user=person, dataset=dataset, defaults={"role": role})
    return membership


@transaction.atomic
def member_remove(*, membership: Membership) -> None:
    """Takes a person's role away. Raises OnlyManager for the only manager."""
    _lock(membership.dataset)
    _keep_a_manager(membership.dataset, membership.user)
    Membership.objects.filter(pk=membership.pk).delete()


def _lock(dataset: Dataset) -> None:
    """One change of members at a time: two managers may not take each other's role away at once."""
    dataset_hold(dataset.pk)


def _keep_a_manager(dataset: Dataset, leaving: User) -> None:
    managers = Membership.objects.filter(dataset=dataset, role=Role.MANAGER)
    others = managers.filter(user__is_active=True).exclude(user=leaving)
    if managers.filter(user=leaving).exists() and not others.exists():
        raise OnlyManager(
            f"{leaving} is the only manager of {dataset.name}. Nothing was changed.",
            remedy="Make somebody else a manager first.",
        )

"""Who belongs to a dataset."""

from django.db.models import QuerySet

from apps.accounts.models import Membership, Role
from apps.datasets.models import Dataset

NAMED_MANAGERS = 3


def members_list(*, dataset: Dataset) -> QuerySet[Membership]:
    """Managers first, then by name."""
    return Membership.objects.filter(dataset=dataset).select_related("user").order_by("-role", "user__username")


def managers_named(*, dataset: Dataset) -> str:
    """Some of a dataset's managers, for a sentence: "anna, bo"; empty when it has none."""
    managers = Membership.objects.filter(dataset=dataset, role=Role.MANAGER, user__is_active=True)
    return ", ".join(managers.order_by("pk").values_list("user__username", flat=True)[:NAMED_MANAGERS])

"""Failed sign-ins, counted by name and by address."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import LoginAttempt

WINDOW = timedelta(minutes=15)


def is_throttled(username: str, address: str | None) -> bool:
    """Whether a name or an address has failed too often in the last 15 minutes."""
    recent = LoginAttempt.objects.filter(at__gt=timezone.now() - WINDOW)
    limit = settings.LOGIN_ATTEMPTS_PER_15_MINUTES
    by_name = recent.filter(username=username[:150].lower()).count()
    return by_name >= limit or (address is not None and recent.filter(address=address).count() >= limit * 3)


def failure_record(username: str, address: str | None) -> None:
    LoginAttempt.objects.create(username=username[:150].lower(), address=address)
    LoginAttempt.objects.filter(at__lt=timezone.now() - WINDOW * 4).delete()


def failures_forget(username: str, address: str | None) -> None:
    """After a success, the failures of this name from this address no longer count."""
    LoginAttempt.objects.filter(Q(username=username[:150].lower()), Q(address=address)).delete()

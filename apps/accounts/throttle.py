"""Failed sign-ins, counted by name and by address: who guesses too often waits."""

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import LoginAttempt

WINDOW = timedelta(minutes=15)
KEPT = timedelta(days=1)


def address_of(request: HttpRequest) -> str | None:
    """The visitor's address. Of X-Forwarded-For only what our own proxies wrote is believed (settings.PROXIES)."""
    proxies: int = settings.PROXIES
    if proxies:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(hops) >= proxies and is_valid_address(hops[-proxies]):
            return hops[-proxies]
    address: str = request.META.get("REMOTE_ADDR", "")
    return address or None


def is_valid_address(text: str) -> bool:
    try:
        validate_ipv46_address(text)
    except ValidationError:
        return False
    return True


def is_full(*, username: str, address: str | None) -> bool:
    """Whether this name or this address has failed too often within the window."""
    recent = LoginAttempt.objects.filter(at__gt=timezone.now() - WINDOW)
    limit = settings.LOGIN_ATTEMPTS_PER_15_MINUTES
    if recent.filter(username=_key(username)).count() >= limit:
        return True
    return address is not None and recent.filter(address=address).count() >= limit


def note_failure(*, username: str, address: str | None) -> None:
    """Counts one, and sweeps what is long past."""
    LoginAttempt.objects.create(username=_key(username), address=address)
    LoginAttempt.objects.filter(at__lt=timezone.now() - KEPT).delete()


def note_success(*, username: str) -> None:
    """The name's own failures are forgiven; the address's are not, for others may guess from it."""
    LoginAttempt.objects.filter(username=_key(username)).update(username="")


def _key(username: str) -> str:
    return username.casefold()[:150]

"""The one-time link that makes the first administrator: the log shows it, and it works until there is one."""

from django.conf import settings
from django.core import signing
from django.db import connection, transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.core.errors import Conflict

SALT = "kindred.setup"
HOURS = 48


def administrator_exists() -> bool:
    return User.objects.filter(is_superuser=True).exists()


def setup_link() -> str:
    """The link, signed with the secret key and good for two days; empty once there is an administrator."""
    if administrator_exists():
        return ""
    token = signing.dumps("first administrator", salt=SALT)
    return f"{settings.SITE_URL}{reverse('accounts:setup', args=[token])}"


def link_is_good(token: str) -> bool:
    try:
        signing.loads(token, salt=SALT, max_age=HOURS * 3600)
    except signing.BadSignature:
        return False
    return not administrator_exists()


@transaction.atomic
def administrator_create(*, username: str, password: str) -> User:
    """The first administrator. Raises Conflict when somebody was faster."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE accounts_user IN SHARE ROW EXCLUSIVE MODE")  # two clicks at once: one wins
    if administrator_exists():
        raise Conflict("There is an administrator already.", remedy="Sign in, or ask them for an account.")
    return User.objects.create_superuser(username=username, password=password)

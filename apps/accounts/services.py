"""Changes to people's accounts."""

from django.db import connection, transaction

from apps.accounts import setup
from apps.accounts.models import User
from apps.core.errors import Conflict

SETUP_LOCK = 7_250_102  # any number that nothing else in this database locks


@transaction.atomic
def administrator_create_first(*, username: str, password: str) -> User:
    """Makes the site's first superuser. Raises Conflict when there is one: two may hold the link at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SETUP_LOCK])
    if not setup.is_open():
        raise Conflict("The site has its administrator already.", remedy="Sign in, or ask that person for an account.")
    return User.objects.create_superuser(username=username, password=password)

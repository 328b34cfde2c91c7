"""The one-time link that makes the first administrator.

The link is signed and good for a day, and only while the site has no superuser: using it ends it.
"""

from django.conf import settings
from django.core import signing
from django.urls import reverse

from apps.accounts.models import User

SALT = "kindred.setup"
LINK_SECONDS = 24 * 3600


def is_open() -> bool:
    """Whether the site still waits for its first administrator."""
    return not User.objects.filter(is_superuser=True).exists()


def link() -> str:
    """A new link, with the site's address; empty when there is an administrator."""
    if not is_open():
        return ""
    token = signing.dumps("first administrator", salt=SALT)
    return f"{settings.SITE_URL}{reverse('accounts:setup', args=[token])}"


def is_valid(token: str) -> bool:
    """Whether this is one of ours, not a day old, and there is no administrator yet."""
    try:
        signing.loads(token, salt=SALT, max_age=LINK_SECONDS)
    except signing.BadSignature:
        return False
    return is_open()

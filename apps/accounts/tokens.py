"""API tokens: made, found and revoked. The secret is shown once; the table keeps its SHA-256."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import ApiToken, User
from apps.core.errors import BadInput

MARK = "kd_"
SCOPES = {
    "read": "See datasets, samples, labels, models, runs and jobs",
    "annotate": "Change labels, splits and flags of samples",
    "embed": "Make embeddings of images",
    "search": "Search with images and vectors",
    "manage": "Cancel jobs",
}
SEEN_EVERY = timedelta(minutes=1)  # `last_used_at` is no more exact than this


def digest(secret: str) -> str:
    # A fast hash is right here: the secret has 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def token_create(*, user: User, name: str, scopes: list[str], days: int | None) -> tuple[ApiToken, str]:
    """Makes a token; returns it with the text that the program sends, which cannot be shown again.

    `days`: how long it is good, None for ever. Raises BadInput for an unknown scope or none.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BadInput(
            f"Unknown scopes: {', '.join(unknown)}." if unknown else "A token without a scope can do nothing.",
            remedy=f"Choose among {', '.join(SCOPES)}.",
        )
    if not name.strip():
        raise BadInput("The token has no name.", remedy="Name the program that will use it.")
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name.strip()[:100],
        prefix=prefix,
        secret_sha256=digest(secret),
        scopes=sorted(scopes),
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )
    return token, f"{MARK}{prefix}.{secret}"


@transaction.atomic
def token_revoke(*, token: ApiToken) -> None:
    """From now on the token opens nothing. The row stays, for the record."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())


def token_find(text: str) -> ApiToken | None:
    """The valid token that a program sent; None for anything else, whatever is wrong with it."""
    prefix, _, secret = text.removeprefix(MARK).partition(".")
    known = prefix.isascii() and prefix.isalnum()  # else it is none of ours, and may hold what Postgres refuses
    token = ApiToken.objects.select_related("user").filter(prefix=prefix[:16]).first() if known else None
    # Compared even when there is no such prefix, so that the time taken tells nothing.
    right = hmac.compare_digest(token.secret_sha256 if token else "0" * 64, digest(secret))
    now = timezone.now()
    if token is None or not right or token.revoked_at is not None or not token.user.is_active:
        return None
    if token.expires_at is not None and token.expires_at <= now:
        return None
    if token.last_used_at is None or now - token.last_used_at > SEEN_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token

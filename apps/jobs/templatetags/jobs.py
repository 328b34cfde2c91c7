"""What templates ask about jobs."""

from django import template
from django.contrib.auth.models import AnonymousUser

from apps.accounts.models import User
from apps.jobs import selectors
from apps.jobs.models import Job

register = template.Library()


@register.filter
def cancellable_by(job: Job, user: User | AnonymousUser) -> bool:
    """Whether a person may cancel a job: `{% if job|cancellable_by:request.user %}`."""
    return isinstance(user, User) and selectors.can_cancel(job=job, user=user)

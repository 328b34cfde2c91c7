"""`manage.py prepare`: brings database, cache table, schedules and static files up to date. Safe to run again."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("createcachetable", verbosity=0)
        call_command("ensure_schedules")
        call_command("collectstatic", interactive=False, verbosity=0)

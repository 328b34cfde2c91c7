"""`manage.py prepare`: brings the database and the static files up to date, and shows the one-time link.

Safe to run again, and by several at once. `serve` does it itself; containers run it once before the rest.
"""

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from apps.accounts import setup
from kindred import static_files, sweep

LOCK = 7_250_103  # any number that nothing else in this database locks


class Command(BaseCommand):
    help = (
        "Migrations, the cache's table, the daily sweep, static files. "
        "Shows the link for the first administrator while there is none."
    )

    def handle(self, **options: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            try:
                call_command("migrate", interactive=False, verbosity=0)
                call_command("createcachetable", verbosity=0)
                sweep.schedule_ensure()
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        if not settings.DEBUG and static_files.collect():
            self.stdout.write("Static files collected.")
        if link := setup.link():
            self.stdout.write(f"The first administrator is made here, once, within a day:\n{link}")

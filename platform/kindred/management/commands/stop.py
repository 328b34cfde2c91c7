"""`manage.py stop`: ends the site that runs on this data folder, and its embedded Postgres."""

from django.core.management.base import BaseCommand

from kindred import postgres, running


class Command(BaseCommand):
    help = "Stops the site and everything that it started. Running jobs continue at the next start."
    requires_system_checks = []

    def handle(self, **options: object) -> None:
        found = running.serve_end()
        found = running.leftovers_end(running.mark()) > 0 or found
        found = postgres.stop() or found
        self.stdout.write("Stopped." if found else "Nothing was running.")

"""`manage.py ensure_schedules`: the every-minute doorbell. Ringing it by hand makes it too; any number of times."""

from django.core.management.base import BaseCommand

from apps.jobs import services


class Command(BaseCommand):
    help = "Makes the schedule that rings the jobs' doorbell every minute, unless it is there."

    def handle(self, *args: object, **options: object) -> None:
        services.doorbell_ring()

"""`manage.py stop_jobs`: ends this host's job processes and puts their jobs back in the queue, not as crashes.

For shutting a host down, after its trainer has ended (a trainer would start them again).
"""

import os
import signal
from argparse import ArgumentParser
from contextlib import suppress

from django.core.management.base import BaseCommand

from apps.jobs import hosts, processes
from apps.jobs.models import Job


class Command(BaseCommand):
    help = "Ends this host's job processes; their jobs wait in the queue until a trainer runs again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=10.0, help="how long each may take before SIGKILL")

    def handle(self, *, seconds: float, **options: object) -> None:
        rows = Job.objects.filter(state=Job.State.RUNNING, host=hosts.host_name(), pid__isnull=False)
        found = [(pid, key) for pid, key in rows.values_list("pid", "pid_key") if pid and processes.is_visible(key)]
        living = [(pid, key) for pid, key in found if processes.pid_key(pid) == key]
        for pid, _ in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid, key in living:
            if not processes.wait_gone(pid, key, seconds):
                processes.kill_group(pid, key)
        self.stdout.write(f"{len(living)} job processes ended")

"""`manage.py process NAME`: runs one process of the Procfile, for containers and service managers."""

import os
import shlex
import signal
import subprocess
import sys
from argparse import ArgumentParser
from types import FrameType

from django.conf import settings
from django.core.management.base import BaseCommand

from kindred import procfile, running


class Command(BaseCommand):
    help = "Runs one process of the Procfile. When it ends, the jobs that it started go back to the queue."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(procfile.commands()))

    def handle(self, *, name: str, **options: object) -> None:
        mark = running.mark(of=os.getpid())
        child = subprocess.Popen(  # noqa: S603  (the words are the project's own)
            shlex.split(procfile.commands()[name]),
            cwd=settings.ROOT,
            env=procfile.environment() | {running.VARIABLE: mark},
            start_new_session=True,  # a Ctrl-C comes to it from here, once
        )

        def pass_on(number: int, frame: FrameType | None) -> None:
            child.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, pass_on)
        code = child.wait()
        running.leftovers_end(mark)
        if name == "trainer":
            running.jobs_hand_back()
        sys.exit(0 if code in (0, -signal.SIGTERM) else 1)
